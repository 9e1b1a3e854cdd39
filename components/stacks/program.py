"""From a stack's config to its outputs: reads the job and hands it to the stack of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi

from components.spec.load import load
from components.spec.train import TrainJob
from components.stacks import infer, train


def build(config: pulumi.Config) -> dict[str, Any]:
    """Declare the stack that `config` names and return its outputs.

    Config: `job`, a job file; `override`, single values of it, nested as in the file.

    Raises:
        SpecError: the job cannot be right; nothing was declared.
    """
    override_from = f"Pulumi.{pulumi.get_stack()}.yaml: override"
    job = load(Path(config.require("job")), config.get_object("override"), override_from)
    return train.build(job) if isinstance(job, TrainJob) else infer.build(job)
