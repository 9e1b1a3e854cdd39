"""The training stack: a machine, sd-scripts on it, the dataset and the base model, and the training."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.dataset import fetch
from components.dataset.check import summary
from components.dataset.declared import Declared, declared
from components.errors import SpecError
from components.kohya.base_model import token_script
from components.kohya.derive import Settings, derive
from components.kohya.plan import DATASET, Plan, plan
from components.kohya.refuse import refuse
from components.kohya.resource import TrainingRun
from components.remote.manifest import Manifest, scan
from components.remote.manifest import sha256 as sha256_of
from components.remote.resource import File, Folder, Reach, step
from components.stacks.machine import rented

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.spec.train import TrainJob


def build(job: TrainJob, place: Callable[[str], str]) -> dict[str, Any]:
    """Declare the stack of `job` and return its outputs; `place` tells where a field of it stands.

    Installation, base model and dataset do not wait for each other; the training waits for all three.

    Raises:
        SpecError: the job cannot be right; nothing was declared.
    """
    dataset = _checked(declared(job), place)
    manifest = scan(dataset.root) if dataset.root else None
    settings = _derived(job, dataset, place)
    for warning in refuse(job, settings, manifest.size / 1e9 if manifest else 0, place):
        pulumi.log.warn(warning)
    token = _token()
    steps = plan(
        job,
        settings,
        manifest.digest if manifest else sha256(job.dataset.model_dump_json().encode()).hexdigest()[:16],
        token=token is not None,
        model_sha256=_local_model(job),
    )

    stack = pulumi.get_stack()
    home = Path(os.environ.get("FRAGUA_OUTPUT") or "output") / stack / steps.launch.run

    reach, outputs = rented(job.node)
    training = TrainingRun(
        "training",
        reach,
        steps,
        home=home,
        limit=job.training.first_step,
        opts=pulumi.ResourceOptions(depends_on=_prepared(job, steps, reach, manifest, token)),
    )
    return {
        **outputs,
        "training": _summary(settings),
        "derived": list(settings.notes),
        "run": training.run,
        "steps": training.steps,
        "checkpoints": f"{home}/",
        "logs": steps.launch.logs,
        "tensorboard": f"http://localhost:6006 through ./fragua tensorboard {stack}",
    }


def _prepared(
    job: TrainJob, steps: Plan, reach: Reach, manifest: Manifest | None, token: pulumi.Output[str] | None
) -> list[pulumi.Resource]:
    """Declare what training waits for."""
    found: list[pulumi.Resource] = [step(reach, steps.install)]
    if steps.base_model.job:
        found.append(step(reach, steps.base_model.job, before=token and token.apply(token_script)))
    else:
        found.append(File("base-model", reach, Path(job.base_model.local or ""), path=steps.base_model.path))
    if steps.dataset:
        secrets = fetch.environment(job.dataset, os.environ)
        before = pulumi.Output.secret(fetch.environment_script(secrets)) if secrets else None
        found.append(step(reach, steps.dataset, before=before))
    elif manifest:
        source = Path(job.dataset.path or "").expanduser()
        found.append(Folder("dataset", reach, source, manifest, folder=DATASET))
    return found


def _checked(dataset: Declared, place: Callable[[str], str]) -> Declared:
    if dataset.report:
        if errors := dataset.report.errors:
            raise SpecError("\n".join(f"{place('dataset')}dataset: {line}" for line in summary(errors)))
        for line in summary(dataset.report.warnings):
            pulumi.log.warn(f"dataset: {line}")
    return dataset


def _derived(job: TrainJob, dataset: Declared, place: Callable[[str], str]) -> Settings:
    try:
        return derive(job, dataset)
    except SpecError as error:
        field = str(error).partition(":")[0]
        raise SpecError(f"{place(field)}{error}") from None


def _token() -> pulumi.Output[str] | None:
    """Return the token for Hugging Face as a secret, from the stack's config or the environment."""
    if found := pulumi.Config("huggingface").get_secret("token"):
        return found
    token = os.environ.get("HF_TOKEN")
    return pulumi.Output.secret(token) if token else None


def _local_model(job: TrainJob) -> str:
    return sha256_of(Path(job.base_model.local).expanduser()) if job.base_model.local else ""


def _summary(settings: Settings) -> str:
    shape = settings.shape
    steps = f"{settings.steps} steps" if settings.steps else "steps as the dataset makes"
    images = f"{settings.images} images, " if settings.images else ""
    return f"{images}{settings.epochs} epochs, {steps} of batch size {shape.batch_size}, {shape.optimizer}"
