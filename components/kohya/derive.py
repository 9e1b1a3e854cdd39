"""What a job leaves out: from the VRAM that it is sure to get, and from the number of its images. Pure.

Where the numbers come from: the samples of a LoRA (1500 to 3000 in all, as a first guess), epochs and
learning rates are those of common guides without their errors; what fits is `components.kohya.fit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.cost.experience import Experience
from components.cost.speeds import pace, together
from components.cost.survival import hazard
from components.cost.terms import Terms
from components.cost.work import Work
from components.dataset.declared import Declared, buckets
from components.dataset.steps import estimate
from components.errors import SpecError
from components.kohya.fit import fit
from components.kohya.memory import Shape, checkpoint_gb, state_gb
from components.kohya.resume import interval
from components.spec import gpus

if TYPE_CHECKING:
    from components.spec.dataset import Subset
    from components.spec.train import TrainJob

_SAMPLES: Final = 2000
_EPOCHS: Final = 10
_SAVES: Final = 10

_OVER_LEAST: Final = 1.2
"""How many times the least bid that wins an interruptible machine is held for: nobody knows it before."""
_DISK_GB_A_SECOND: Final = 0.5
_DOLLARS_A_GB: Final = 0.01
"""For traffic out of a machine: hosts ask 0 to 0.04 $."""


@dataclass(frozen=True)
class Settings:
    """A job's training with nothing left out.

    Attributes:
        subsets: with their repeats.
        images: how many there are, each once, as far as they are known here.
        epochs: how often all is seen.
        shape: optimizer, batch size and what else decides the memory.
        learning_rate: of the U-Net.
        save_every: epochs from one checkpoint to the next.
        save_state: whether each checkpoint comes with what is needed to go on after an interruption.
        steps: of the whole training; None where the node fetches the dataset.
        notes: what was derived, and why, one line each.
    """

    subsets: tuple[Subset, ...]
    images: int
    epochs: int
    shape: Shape
    learning_rate: float
    save_every: int
    save_state: bool
    steps: int | None
    notes: tuple[str, ...]


def derive(job: TrainJob, dataset: Declared) -> Settings:
    """Fill in what `job` leaves out.

    Raises:
        SpecError: it cannot be derived, or cannot fit in the VRAM.
    """
    shape, found = fit(job, dataset.count)
    notes = [*found]
    subsets, epochs = _length(job, dataset, shape, notes)
    rate = job.training.learning_rate
    if rate is None:
        rate, why = _rate(job, shape, dataset.count)
        notes.append(f"training.learning_rate {rate:g}: {why}")
    save_state = job.training.save_state
    if save_state is None:
        save_state = job.node.bid is not None
        if save_state:
            notes.append("training.save_state true: the node is interruptible")
    steps = _steps(job, dataset, subsets, shape, epochs)
    return Settings(
        subsets=subsets,
        images=dataset.count or 0,
        epochs=epochs,
        shape=shape,
        learning_rate=rate,
        save_every=job.training.save_every_epochs or _save_every(job, shape, epochs, steps, notes),
        save_state=save_state,
        steps=steps,
        notes=tuple(notes),
    )


def _length(
    job: TrainJob, dataset: Declared, shape: Shape, notes: list[str]
) -> tuple[tuple[Subset, ...], int]:
    """Return subsets with repeats, and epochs."""
    subsets, images, training = dataset.subsets, dataset.count, job.training
    if images is None:
        if training.epochs is None:
            field = "training.steps" if training.steps else "training.epochs"
            raise SpecError(f"{field}: the node fetches the dataset, so nobody counts its images; set epochs")
        return subsets, training.epochs
    seen = sum(len(read.images) * read.repeats for read in dataset.read(subsets) if not read.is_reg)
    target = _SAMPLES if job.lora else images * _full_epochs(images)
    if dataset.free and job.lora and not training.steps:
        repeats = max(1, round(target / (images * (training.epochs or _EPOCHS))))
        subsets = tuple(
            subset if subset.regularisation else subset.model_copy(update={"repeats": repeats})
            for subset in subsets
        )
        seen *= repeats
        if repeats > 1:
            notes.append(f"dataset.repeats {repeats}: {images} images, to show about {_SAMPLES} in all")
    if training.epochs:
        return subsets, training.epochs
    if training.steps:
        per_epoch = _steps(job, dataset, subsets, shape, 1) or 1
        epochs = max(1, round(training.steps / per_epoch))
        notes.append(
            f"training.epochs {epochs}: {per_epoch} steps each, nearest to training.steps {training.steps}"
        )
        return subsets, epochs
    epochs = max(3 if job.lora else 1, round(target / seen))
    why = (
        f"to show about {_SAMPLES}"
        if job.lora
        else "each often enough to learn, too rarely to learn by heart"
    )
    notes.append(f"training.epochs {epochs}: {seen} images an epoch, {why}")
    return subsets, epochs


def _full_epochs(images: int) -> int:
    return 10 if images < 300 else 5 if images < 3000 else 3


def _rate(job: TrainJob, shape: Shape, images: int | None) -> tuple[float, str]:
    if shape.optimizer == "Prodigy" or shape.optimizer.startswith("DAdapt"):
        return 1.0, f"{shape.optimizer} finds its own"
    kind, few, low, high = ("a LoRA", 50, 1e-4, 2e-4) if job.lora else ("a full fine-tune", 300, 2e-6, 5e-6)
    if images is None:
        return low, kind
    return (low if images < few else high), f"{kind} on {images} images"


def _save_every(job: TrainJob, shape: Shape, epochs: int, steps: int | None, notes: list[str]) -> int:
    """Return epochs from one checkpoint to the next: about ten in all; more where losing work costs more."""
    every = max(1, epochs // _SAVES)
    why = f"about {_SAVES} checkpoints"
    if job.node.bid is not None and steps:
        images = steps / epochs * shape.batch_size * job.training.gradient_accumulation
        gb = state_gb(shape) + checkpoint_gb(shape)
        save_seconds = (
            gb / _DISK_GB_A_SECOND
            + gb * _DOLLARS_A_GB / (job.node.fixed_bid or job.node.max_price / 2) * 3600
        )
        bid = Terms(gpu="", price=_OVER_LEAST, min_bid=1, reliability=job.node.reliability)
        every = interval(
            images * _image_seconds(job, shape), save_seconds, 3600 / hazard(bid, Experience()), epochs
        )
        why = "losing epochs and saving states cost least in all (Young's formula)"
    if every > 1:
        notes.append(f"training.save_every_epochs {every}: {why}")
    return every


def _image_seconds(job: TrainJob, shape: Shape) -> float:
    """Return the seconds of an image on the slowest GPU that the job allows: which it gets is not known."""
    work = Work(
        kind="lora" if job.lora else "full",
        megapixels=(shape.resolution / 1024) ** 2,
        batch=shape.batch_size,
        checkpointing=shape.checkpointing,
        gpus=shape.processes,
        disk=job.node.disk,
    )
    names = [name for model in job.node.gpu.models for name in gpus.names(model)]
    slowest = max(pace(Terms(gpu=name, price=0), work, Experience()).seconds for name in names)
    return slowest * shape.processes / together(work)


def _steps(
    job: TrainJob, dataset: Declared, subsets: tuple[Subset, ...], shape: Shape, epochs: int
) -> int | None:
    if dataset.count is None:
        return None
    return estimate(
        dataset.read(subsets),
        buckets(job),
        batch_size=shape.batch_size,
        epochs=epochs,
        accumulation=job.training.gradient_accumulation,
        processes=shape.processes,
    ).steps
