"""A machine and nothing on it but its image: `kind: machine`."""

from __future__ import annotations

from typing import Literal

from components.spec.base import Spec
from components.spec.budget import Budget
from components.spec.node import Node


class MachineJob(Spec):
    """A verified machine, to be used by hand."""

    kind: Literal["machine"]
    node: Node
    budget: Budget = Budget()
