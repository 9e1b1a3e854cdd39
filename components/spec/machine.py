"""A machine and nothing on it but its image: `kind: machine`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from components.spec.base import Spec
from components.spec.budget import Budget
from components.spec.node import Node


class MachineJob(Spec):
    """A verified machine, to be used by hand."""

    kind: Literal["machine"]
    node: Node
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        self.budget.check(self.node.limits, serves=True)
        return self
