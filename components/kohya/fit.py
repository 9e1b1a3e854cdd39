"""Optimizer, batch size and what else decides the memory of a training, so that it fits in the VRAM. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from components.errors import SpecError
from components.kohya.memory import Shape, static_gb, vram_gb
from components.kohya.names import optimizer_of
from components.spec import gpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.spec.node import Gpu
    from components.spec.train import TrainJob

_T = TypeVar("_T")

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
    _Rung("AdamW8bit", 8),
    _Rung("AdamW8bit", 4),
    _Rung("Adafactor", 4, fused=True),
    _Rung("Adafactor", 2, fused=True),
    _Rung("Adafactor", 1, fused=True),
    _Rung("Adafactor", 1, fused=True, full_bf16=True),
)
"""The best first, the smallest last; batches only become smaller."""


def least_vram(gpu: Gpu) -> float:
    """Return the least GB of VRAM that a GPU of the job may have; 0 where its models are unknown here."""
    names = [name for model in gpu.models for name in gpus.names(model)]
    sizes = [size for name in names for size in gpus.VRAM.get(name, ()) if size >= (gpu.vram or 0)]
    return min(sizes, default=gpu.vram or 0)


def fit(job: TrainJob, images: int | None) -> tuple[Shape, list[str]]:
    """Return the best shape for `job` that fits in the VRAM that it is sure to get, and what was derived.

    Args:
        job: the job; what it says is always kept.
        images: of its dataset, as far as they are known.

    Raises:
        SpecError: nothing fits that it allows.
    """
    gb = least_vram(job.node.gpu)
    options = list(_ladder(job, images))
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
    there = f"of {gb:g} at least" if gb else "and how much the GPU has is not known here"
    need = f"about {vram_gb(shape):.0f} GB of VRAM at {training.resolution} pixels, {there}"
    notes = []
    derived = [
        name if value is True else f"{name} {value}"
        for name, (given, value) in chosen.items()
        if given is None and value is not False
    ]
    if derived:
        notes.append(f"training: {', '.join(derived)}: {need}")
    if gb and vram_gb(shape) > _MARGIN * gb:
        notes.append(f"node.gpu: this may not fit: {need}")
    return shape, notes


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


def text_cached(job: TrainJob) -> bool:
    """Return whether captions can be encoded once: nothing changes them, and the encoders are not trained."""
    subsets = (job.dataset, *job.dataset.subsets)
    changing = bool(job.extra.get("token_warmup_step")) or any(
        each.shuffle_caption or each.caption_dropout or each.tag_dropout for each in subsets
    )
    weighted = bool(job.extra.get("weighted_captions")) and not job.lora
    return not (changing or weighted or _text_trained(job))


def _text_trained(job: TrainJob) -> bool:
    return job.lora.text_encoders if job.lora else bool(job.extra.get("train_text_encoder"))


def _ladder(job: TrainJob, images: int | None) -> Iterator[Shape]:
    """The rungs, each with what the job says in place of its own."""
    training, lora = job.training, job.lora
    processes = training.processes or job.node.gpu.count
    given = training.optimizer and optimizer_of({"optimizer_type": training.optimizer})
    if not given and not lora and (training.fused or training.full_bf16):
        given = "Adafactor"  # alone steps within the backward pass, and rounds bf16 well
    for rung in _LORA_LADDER if lora else _FULL_LADDER:
        optimizer = given or rung.optimizer
        alone = processes == training.gradient_accumulation == 1
        possible = optimizer == "Adafactor" and alone and training.precision == "bf16" and not lora
        fused = _given(training.fused, possible and bool(rung.fused or training.full_bf16))
        bf16 = rung.full_bf16 and fused and training.precision == "bf16"
        yield Shape(
            rank=lora.dim if lora else 0,
            text_encoders=_text_trained(job),
            text_cached=text_cached(job),
            optimizer=optimizer,
            batch_size=_given(training.batch_size, min(rung.batch_size, images or rung.batch_size)),
            resolution=training.resolution,
            checkpointing=_given(training.gradient_checkpointing, rung.checkpointing),
            full_bf16=_given(training.full_bf16, bf16),
            fused=fused,
            processes=processes,
        )


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


def _given(value: _T | None, otherwise: _T) -> _T:
    return otherwise if value is None else value
