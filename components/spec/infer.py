"""An inference job: `kind: infer`. So far it is a verified machine with ComfyUI's image; the service is part 3/6."""

from __future__ import annotations

from typing import Literal

from components.spec.base import Spec
from components.spec.node import Node


class InferJob(Spec):
    """A machine for ComfyUI."""

    kind: Literal["infer"]
    node: Node
