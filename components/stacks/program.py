"""From a stack's config to its outputs: reads the job and hands it to the stack of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi

from components.spec.infer import InferJob
from components.spec.load import placed
from components.spec.train import TrainJob


def build(config: pulumi.Config) -> dict[str, Any]:
    """Declare the stack that `config` names and return its outputs.

    Config: `job`, a job file; `override`, single values of it, nested as in the file.

    Raises:
        SpecError: the job cannot be right; nothing was declared.
    """
    override_from = f"Pulumi.{pulumi.get_stack()}.yaml: override"
    job, place = placed(Path(config.require("job")), config.get_object("override"), override_from)
    if isinstance(job, TrainJob):
        from components.stacks import train  # noqa: PLC0415 - only the stack that is asked for is loaded

        return train.build(job, place)
    if isinstance(job, InferJob):
        from components.stacks import infer  # noqa: PLC0415 - likewise

        return infer.build(job, place)
    from components.stacks import machine  # noqa: PLC0415 - likewise

    return machine.build(job, place)
