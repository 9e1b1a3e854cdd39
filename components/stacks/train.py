"""The training stack: a machine, sd-scripts on it, the dataset and the base model, and the training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.kohya.dataset import inspect
from components.kohya.plan import DATASET, plan
from components.kohya.resource import TrainingRun
from components.remote.manifest import scan
from components.remote.resource import Folder, step
from components.stacks.machine import rented

if TYPE_CHECKING:
    from components.spec.train import TrainJob


def build(job: TrainJob) -> dict[str, Any]:
    """Declare the stack of `job` and return its outputs.

    Installation, base model and dataset do not wait for each other; the training waits for all three.
    """
    source = Path(job.dataset.path).expanduser()
    inspect(job.dataset, source)
    manifest = scan(source)
    steps = plan(job, manifest.digest)

    reach, outputs = rented(job.node)
    dataset = Folder("dataset", reach, source, manifest, folder=DATASET)
    preparations: list[pulumi.Resource] = [dataset, *(step(reach, each) for each in steps.preparations)]
    training = TrainingRun(
        "training", reach, steps, job.training.first_step, pulumi.ResourceOptions(depends_on=preparations)
    )

    stack = pulumi.get_stack()
    return {
        **outputs,
        "run": training.run,
        "steps": training.steps,
        "checkpoint": steps.checkpoint,
        "checkpoints": f"output/{steps.run}/",
        "logs": steps.logs,
        "tensorboard": f"http://localhost:6006 through ./fragua tensorboard {stack}",
    }
