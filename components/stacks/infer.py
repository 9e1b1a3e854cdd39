"""The inference stack: so far a verified machine with ComfyUI's image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.stacks.machine import rented

if TYPE_CHECKING:
    from components.spec.infer import InferJob


def build(job: InferJob) -> dict[str, Any]:
    """Declare the stack of `job` and return its outputs."""
    _, outputs = rented(job.node)
    return outputs
