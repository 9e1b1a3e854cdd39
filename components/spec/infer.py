"""An inference job: `kind: infer`. So far a verified machine with ComfyUI's image."""

from __future__ import annotations

from typing import Literal

from components.spec.base import Spec
from components.spec.node import Node


class InferJob(Spec):
    """A machine for ComfyUI."""

    kind: Literal["infer"]
    node: Node
