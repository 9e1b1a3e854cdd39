"""The training stack: a machine, sd-scripts on it, the dataset and the base model, and the training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.kohya.plan import DATASET
from components.kohya.resource import TrainingRun
from components.remote.resource import File, Folder, Reach, step
from components.remote.store import environment_script
from components.spec.tokens import HUGGING_FACE
from components.stacks.asked import of_training
from components.stacks.machine import described, rent
from components.stacks.prepare import Prepared, prepare
from components.stacks.price import priced
from components.stacks.secret import host_tokens
from components.vast.resource import SshKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.kohya.derive import Settings
    from components.spec.train import TrainJob


def build(job: TrainJob, place: Callable[[str], str]) -> dict[str, Any]:
    """Declare the stack of `job` and return its outputs; `place` tells where a field of it stands.

    Installation, base model and dataset do not wait for each other; the training waits for all three.

    Raises:
        SpecError: the job cannot be right; nothing was declared.
    """
    opens = host_tokens(job, place)
    ready = prepare(job, place, token=HUGGING_FACE in opens)
    for warning in ready.warnings:
        pulumi.log.warn(warning)
    stack, launch = pulumi.get_stack(), ready.plan.launch
    home, price = ready.home(stack), priced(of_training(job, ready), place)

    machine, reach = rent(price, SshKey("key"))
    training = TrainingRun(
        "training",
        reach,
        ready.plan,
        home=home,
        price=machine.price,
        limit=job.training.first_step,
        opts=pulumi.ResourceOptions(depends_on=_preparations(job, ready, reach, opens)),
    )
    return {
        **described(machine),
        "training": _summary(ready.settings),
        "derived": list(ready.settings.notes),
        "run": training.run,
        "steps": training.steps,
        "checkpoints": f"{home}/",
        "logs": launch.logs,
        "tensorboard": f"http://localhost:6006 through ./fragua tensorboard {stack}",
        **price.outputs,
    }


def _preparations(
    job: TrainJob, ready: Prepared, reach: Reach, opens: Mapping[str, pulumi.Output[str]]
) -> list[pulumi.Resource]:
    """Declare what training waits for."""
    steps = ready.plan
    found: list[pulumi.Resource] = [step(reach, steps.install)]
    if model := steps.base_model.job:
        found.append(step(reach, model, before=opens.get(model.token)))
    else:
        source = Path(job.base_model.local or "").expanduser()
        found.append(File("base-model", reach, str(source), path=steps.base_model.path))
    if steps.dataset:
        secrets = ready.secrets
        before = pulumi.Output.secret(environment_script(steps.dataset.name, secrets)) if secrets else None
        found.append(step(reach, steps.dataset, before=before or opens.get(steps.dataset.token)))
    elif ready.manifest:
        source = Path(job.dataset.path or "").expanduser()
        found.append(Folder("dataset", reach, source, ready.manifest, folder=DATASET))
    if steps.bucket:
        before = pulumi.Output.secret(environment_script(steps.bucket.name, ready.bucket))
        found.append(step(reach, steps.bucket, before=before))
    return found


def _summary(settings: Settings) -> str:
    shape = settings.shape
    steps = f"{settings.steps} steps" if settings.steps else "steps as the dataset makes"
    images = f"{settings.images} images, " if settings.images else ""
    return f"{images}{settings.epochs} epochs, {steps} of batch size {shape.batch_size}, {shape.optimizer}"
