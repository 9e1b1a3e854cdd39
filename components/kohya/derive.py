"""What a job leaves out: from the VRAM that it is sure to get, and from the number of its images. Pure.

Where the numbers come from: the samples of a LoRA (1500 to 3000 in all, as a first guess), epochs and
learning rates are those of common guides without their errors; memory is `components.kohya.memory`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from components.dataset.declared import Declared, buckets
from components.dataset.steps import estimate
from components.errors import SpecError
from components.kohya.memory import Shape, checkpoint_gb, state_gb, static_gb, vram_gb
from components.kohya.names import optimizer_of
from components.kohya.resume import interval
from components.spec import gpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.spec.dataset import Subset
    from components.spec.node import Gpu
    from components.spec.train import TrainJob

_T = TypeVar("_T")

_SAMPLES: Final = 2000
_EPOCHS: Final = 10
_SAVES: Final = 10

_IMAGE_SECONDS: Final = 1.2
"""For an image of a step, as reported for an RTX 3090; nobody knows the GPU before it is rented."""
_UNINTERRUPTED: Final = 4 * 3600.0
"""Seconds until an interruptible machine is lost, in the mean: an assumption, until run records tell."""
_DISK_GB_A_SECOND: Final = 0.5
_DOLLARS_A_GB: Final = 0.01
"""For traffic out of a machine: hosts ask 0 to 0.04 $."""

_MARGIN: Final = 0.92
"""Share of the VRAM to plan for: estimates are rough, and the driver keeps some."""
_HOPE: Final = 1.15
"""Share of the VRAM from which on a need, however rough, cannot be met."""


class _Rung(NamedTuple):
    optimizer: str
    batch_size: int
    checkpointing: bool = True
    fused: bool = False
    full_bf16: bool = False


_LORA_LADDER: Final = (
    _Rung("AdamW8bit", 4, checkpointing=False),
    _Rung("AdamW8bit", 4),
    _Rung("AdamW8bit", 2),
    _Rung("AdamW8bit", 1),
    _Rung("Adafactor", 1),
)
_FULL_LADDER: Final = (
    _Rung("AdamW", 8),
    _Rung("AdamW", 4),
    _Rung("AdamW8bit", 8),
    _Rung("AdamW8bit", 4),
    _Rung("AdamW8bit", 2),
    _Rung("Adafactor", 4, fused=True),
    _Rung("Adafactor", 2, fused=True),
    _Rung("Adafactor", 1, fused=True),
    _Rung("Adafactor", 1, fused=True, full_bf16=True),
)
"""The best first, the smallest last."""


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


def least_vram(gpu: Gpu) -> float:
    """Return the least GB of VRAM that a GPU of the job may have; 0 where its models are unknown here."""
    names = [name for model in gpu.models for name in gpus.names(model)]
    sizes = [size for name in names for size in gpus.VRAM.get(name, ()) if size >= (gpu.vram or 0)]
    return min(sizes, default=gpu.vram or 0)


def derive(job: TrainJob, dataset: Declared) -> Settings:
    """Fill in what `job` leaves out.

    Raises:
        SpecError: it cannot be derived, or cannot fit in the VRAM.
    """
    notes: list[str] = []
    shape = _shape(job, dataset, notes)
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


def smaller(job: TrainJob, shape: Shape) -> tuple[Shape, int] | None:
    """Return the next smaller shape that trains the same, and the accumulation that keeps its step as large.

    Returns:
        None where only rank, resolution or optimizer could still be changed: that is for a person.
    """
    if not shape.checkpointing:
        return replace(shape, checkpointing=True), job.training.gradient_accumulation
    if shape.batch_size > 1 and shape.batch_size % 2 == 0 and not shape.fused:
        return replace(shape, batch_size=shape.batch_size // 2), job.training.gradient_accumulation * 2
    return None


def _shape(job: TrainJob, dataset: Declared, notes: list[str]) -> Shape:
    gb = least_vram(job.node.gpu)
    options = list(_ladder(job, dataset))
    fitting = [shape for shape in options if not gb or vram_gb(shape) <= _MARGIN * gb]
    shape = fitting[0] if fitting else options[-1]
    training = job.training
    chosen = {
        "optimizer": (training.optimizer, shape.optimizer),
        "batch_size": (training.batch_size, shape.batch_size),
        "gradient_checkpointing": (training.gradient_checkpointing, shape.checkpointing),
        "fused": (training.fused, shape.fused),
        "full_bf16": (training.full_bf16, shape.full_bf16),
    }
    if gb and (static_gb(shape) > gb or vram_gb(_least(job, shape)) > _HOPE * gb):
        raise SpecError(
            _too_large(shape, gb, [name for name, (given, _) in chosen.items() if given is not None])
        )
    need = f"about {vram_gb(shape):.0f} GB of VRAM at {training.resolution} pixels, of {gb:g} at least"
    derived = [
        name if value is True else f"{name} {value}"
        for name, (given, value) in chosen.items()
        if given is None and value is not False
    ]
    if derived:
        notes.append(f"training: {', '.join(derived)}: {need}")
    if gb and vram_gb(shape) > _MARGIN * gb:
        notes.append(f"node.gpu: this may not fit: {need}")
    return shape


def _least(job: TrainJob, shape: Shape) -> Shape:
    """Return what training may go down to where the VRAM is not enough."""
    while job.training.on_oom == "smaller" and (less := smaller(job, shape)):
        shape, _ = less
    return shape


def _too_large(shape: Shape, gb: float, given: list[str]) -> str:
    need = vram_gb(shape)
    sizes = {size for each in gpus.VRAM.values() for size in each if need <= _MARGIN * size}
    larger = [f"ask for GPUs of {min(sizes)} GB or more"] if sizes else []
    lower = "training.resolution or lora.dim" if shape.rank else "training.resolution"
    leave = f"leave {', '.join(f'training.{name}' for name in given)} out" if given else f"lower {lower}"
    return (
        f"node.gpu: the training takes about {need:.0f} GB of VRAM ({static_gb(shape):.0f} GB before any "
        f"image), and a GPU that is asked for may have {gb:g}; {', or '.join([*larger, leave])}"
    )


def _ladder(job: TrainJob, dataset: Declared) -> Iterator[Shape]:
    """The shapes that agree with what the job says, the best first; what it says is always kept."""
    training, lora = job.training, job.lora
    processes = training.processes or job.node.gpu.count
    given = training.optimizer and optimizer_of({"optimizer_type": training.optimizer})
    rungs = _LORA_LADDER if lora else _FULL_LADDER
    possible = processes == 1 and training.gradient_accumulation == 1
    agreeing = [
        rung
        for rung in rungs
        if given in (None, rung.optimizer)
        and training.fused in (None, rung.fused)
        and training.full_bf16 in (None, rung.full_bf16)
        and (possible or training.fused or not rung.fused)
        and (training.precision == "bf16" or not rung.full_bf16)
    ] or [rung._replace(optimizer=given or rung.optimizer, fused=False, full_bf16=False) for rung in rungs]
    for rung in agreeing:
        yield Shape(
            rank=lora.dim if lora else 0,
            text_encoders=bool(lora and lora.text_encoders),
            text_cached=text_cached(job),
            optimizer=rung.optimizer,
            batch_size=_given(training.batch_size, min(rung.batch_size, dataset.count or rung.batch_size)),
            resolution=training.resolution,
            checkpointing=_given(training.gradient_checkpointing, rung.checkpointing),
            full_bf16=_given(training.full_bf16, rung.full_bf16),
            fused=_given(training.fused, rung.fused),
            processes=processes,
        )


def _given(value: _T | None, otherwise: _T) -> _T:
    return otherwise if value is None else value


def text_cached(job: TrainJob) -> bool:
    """Return whether captions can be encoded once: nothing changes them, and the encoders are not trained."""
    subsets = (job.dataset, *job.dataset.subsets)
    changing = bool(job.extra.get("token_warmup_step")) or any(
        each.shuffle_caption or each.caption_dropout or each.tag_dropout for each in subsets
    )
    weighted = bool(job.extra.get("weighted_captions")) and not job.lora
    trained = bool(job.lora and job.lora.text_encoders) or bool(job.extra.get("train_text_encoder"))
    return not (changing or weighted or trained)


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
        epoch_seconds = (
            steps / epochs * shape.batch_size * job.training.gradient_accumulation * _IMAGE_SECONDS
        )
        gb = state_gb(shape) + checkpoint_gb(shape)
        save_seconds = gb / _DISK_GB_A_SECOND + gb * _DOLLARS_A_GB / job.node.bid * 3600
        every = interval(epoch_seconds, save_seconds, _UNINTERRUPTED, epochs)
        why = "losing epochs and saving states cost least in all (Young's formula)"
    if every > 1:
        notes.append(f"training.save_every_epochs {every}: {why}")
    return every


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
