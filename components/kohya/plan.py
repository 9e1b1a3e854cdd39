"""From a training job to what runs on its machine: installation, base model, dataset, training. Pure.

Everything is relative to the workspace, which is the working directory of every job.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import tomli_w

from components.dataset.fetch import fetch
from components.kohya.arguments import dataset_config, options, prompts, script
from components.kohya.fit import smaller
from components.kohya.install import trainer
from components.kohya.launch import Launch, Variant
from components.kohya.push import INSTALL
from components.remote.model import Model, model, uploaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.kohya.derive import Settings
    from components.kohya.install import Trainer
    from components.remote.job import Job
    from components.spec.train import TrainJob

DATASET: Final = "dataset"

_NO_RESULT: Final = (
    *("save_state", "save_every_n_epochs", "save_last_n_epochs", "save_last_n_epochs_state"),
    "tokenizer_cache_dir",
)
"""Options that change nothing in what is trained."""


@dataclass(frozen=True)
class Plan:
    """What a training job does on its machine.

    Attributes:
        install: the job that installs sd-scripts.
        base_model: where the base model is, and the job that brings it there.
        dataset: the job that fetches the dataset; None where it is uploaded.
        launch: how training starts and goes on.
        bucket: the job that installs what pushes to the bucket; None where there is none.
    """

    install: Job
    base_model: Model
    dataset: Job | None
    launch: Launch
    bucket: Job | None

    @property
    def preparations(self) -> list[Job]:
        """The jobs that must be done before training starts; they do not wait for each other."""
        return [job for job in (self.install, self.base_model.job, self.dataset, self.bucket) if job]


def plan(
    job: TrainJob, settings: Settings, dataset_digest: str, *, token: bool = False, model_sha256: str = ""
) -> Plan:
    """Return the plan of `job`.

    Args:
        job: the job.
        settings: what it leaves out.
        dataset_digest: of its files, or of where they come from.
        token: whether there is a token for Hugging Face.
        model_sha256: of a base model on this computer.
    """
    tools = trainer(job.install, job.packages)
    local = job.base_model.local
    base = (
        uploaded(local, model_sha256)
        if local
        else model(job.base_model, "base-model", "base_model", token=token)
    )
    variants = tuple(_variants(job, settings, base, tools))
    main = variants[0]
    result = {name: value for name, value in main.options.items() if name not in _NO_RESULT}
    identity = f"{result} {main.dataset} {prompts(job)} {settings.shape.processes} {dataset_digest}"
    launch = Launch(
        run=f"{job.name}-{_digest(identity)}",
        script=script(job),
        words=tuple(_words(job, settings, tools)),
        epochs=settings.epochs,
        processes=settings.shape.processes,
        variants=variants,
        prompts=prompts(job),
        tensorboard=tools.tensorboard,
        settings=_filled(job, settings),
        derived=settings.notes,
        dataset=dataset_digest,
        base_model=job.base_model.sha256 or model_sha256 or base.path,
        caches=_digest(f"{base.path} {job.extra.get('vae')} {dataset_digest}"),
        bucket=f"{job.bucket.remote}:{job.bucket.path.rstrip('/')}" if job.bucket else "",
    )
    return Plan(
        install=tools.install,
        base_model=base,
        dataset=fetch(job.dataset, DATASET, token=token),
        launch=launch,
        bucket=INSTALL if job.bucket else None,
    )


def _filled(job: TrainJob, settings: Settings) -> dict[str, Any]:
    """Return the job as JSON, with what it left out."""
    shape = settings.shape
    filled = job.model_dump(mode="json", exclude_none=True)
    filled["training"] |= {
        "epochs": settings.epochs,
        "batch_size": shape.batch_size,
        "learning_rate": settings.learning_rate,
        "optimizer": shape.optimizer,
        "gradient_checkpointing": shape.checkpointing,
        "full_bf16": shape.full_bf16,
        "fused": shape.fused,
        "save_every_epochs": settings.save_every,
        "save_state": settings.save_state,
    }
    filled["dataset"]["subsets"] = [
        subset.model_dump(mode="json", exclude_defaults=True) for subset in settings.subsets
    ]
    return filled


def _variants(job: TrainJob, settings: Settings, base: Model, tools: Trainer) -> Iterator[Variant]:
    """The settings, and where the job allows it the smaller ones in turn."""
    why = ""
    while True:
        made = {
            "pretrained_model_name_or_path": base.path,
            **options(job, settings),
            "tokenizer_cache_dir": tools.tokenizers,
        }
        yield Variant(options=made, dataset=tomli_w.dumps(dataset_config(job, settings, DATASET)), why=why)
        less = smaller(job, settings.shape)
        if job.training.on_oom == "fail" or less is None:
            return
        shape, accumulation = less
        training = job.training.model_copy(update={"gradient_accumulation": accumulation})
        job, settings = job.model_copy(update={"training": training}), replace(settings, shape=shape)
        checkpointing = "gradient checkpointing, " if shape.checkpointing else ""
        why = f"{checkpointing}batch size {shape.batch_size}, {accumulation} batches a step"


def _words(job: TrainJob, settings: Settings, tools: Trainer) -> list[str]:
    processes = settings.shape.processes
    return [
        tools.accelerate,
        "launch",
        *("--num_processes", str(processes)),
        *("--num_machines", "1"),
        *(["--multi_gpu"] if processes > 1 else []),
        *("--mixed_precision", job.training.precision),
        *("--dynamo_backend", "no"),
        *("--num_cpu_threads_per_process", str(max(1, job.node.cpu // processes))),
        f"{tools.scripts}/{script(job)}",
    ]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]
