"""What a training asks of its machine, for the room of money to price. Pure."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Final, Literal

from components.cost.images import image_gb
from components.cost.work import Work
from components.kohya.memory import BASE_GB, checkpoint_gb, state_gb

if TYPE_CHECKING:
    from components.kohya.derive import Settings
    from components.remote.manifest import Manifest
    from components.spec.train import TrainJob

_PACKAGES_GB: Final = {"own": 3.5, "kohya-template": 0.5}
"""To download: torch with CUDA's libraries is about 3 GB, sd-scripts with what else it needs 0.5."""
_INSTALL_SECONDS: Final = {"own": 180.0, "kohya-template": 120.0}
"""Without downloads: an assumption."""
_START_SECONDS: Final = 60.0
"""From the trainer's start to its first step, without encoding: likewise."""
_ENCODE_SECONDS: Final = 0.2
"""For the latents and captions of one image: likewise."""
_IMAGES: Final = {"lora": 200, "full": 1000}
"""Where the machine fetches the dataset, which nobody has counted: a guess."""
_IMAGE_GB: Final = 0.002
_SAMPLE_GB: Final = 0.0015


def work(job: TrainJob, settings: Settings, manifest: Manifest | None) -> Work:
    """Return what the training of `job` asks of its machine.

    Args:
        job: the job.
        settings: what it leaves out.
        manifest: of a dataset on this computer; None where the machine fetches it, and its size is guessed.
    """
    shape, training = settings.shape, job.training
    kind: Literal["lora", "full"] = "lora" if job.lora else "full"
    images, assumed = settings.images, []
    if settings.steps is None:
        images = _IMAGES[kind]
        shown = settings.epochs * images * fmean([each.repeats for each in settings.subsets] or [1])
        assumed.append(f"{images} images: the node fetches the dataset, so nobody has counted them")
    else:
        shown = settings.steps * shape.batch_size * training.gradient_accumulation * shape.processes
    saves = max(1, -(-settings.epochs // settings.save_every))
    state = state_gb(shape) if settings.save_state else 0
    drawn = len(job.samples.prompts) * settings.epochs // job.samples.every_epochs if job.samples else 0
    return Work(
        kind=kind,
        images=shown,
        megapixels=(shape.resolution / 1024) ** 2,
        batch=shape.batch_size,
        checkpointing=shape.checkpointing,
        gpus=shape.processes,
        saves=saves,
        disk=job.node.disk,
        image=image_gb(job.node.image),
        fetched=_PACKAGES_GB[job.install]
        + (BASE_GB if job.base_model.huggingface or job.base_model.url else 0)
        + (0 if manifest else images * _IMAGE_GB),
        sent=(manifest.size / 1e9 if manifest else 0) + (BASE_GB if job.base_model.local else 0),
        state=state,
        returned=(saves * (checkpoint_gb(shape) + state) + drawn * _SAMPLE_GB) * (2 if job.bucket else 1),
        setup=_INSTALL_SECONDS[job.install] + _START_SECONDS + images * _ENCODE_SECONDS,
        assumed=tuple(assumed),
    )
