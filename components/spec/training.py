"""The parts of a training job that say how to train; `components.kohya.derive` fills in what is left out."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.spec.base import Duration, Positive, Spec

Setting = bool | int | float | str | tuple[float, ...] | None
"""A value of an optimizer's, a scheduler's or a network's argument; a list of numbers for betas."""

Side = Annotated[int, Field(ge=64, le=4096, multiple_of=8)]
"""Pixels."""


class Buckets(Spec):
    """Aspect ratio bucketing: train on several shapes without cropping."""

    enabled: bool = True
    """Without them every image is cut to one shape."""
    min: Annotated[int, Field(ge=256, multiple_of=32)] = 512
    """Shortest side in pixels."""
    max: Annotated[int, Field(ge=256, multiple_of=32)] = 2048
    """Longest side in pixels."""
    step: Annotated[int, Field(ge=32, multiple_of=32)] = 64
    """Sides are multiples of this many pixels."""
    no_upscale: bool = False
    """Leave images that are smaller than a bucket as they are; `min` and `max` have no effect then."""


class Lora(Spec):
    """The LoRA to train; without it the whole U-Net is trained."""

    dim: Annotated[int, Field(ge=1, le=512)] = 32
    """Rank: about 5.3 MB of fp16 file for each, 7.1 with text encoders."""
    alpha: Annotated[float, Field(gt=0)] = 16
    """Scale: the LoRA acts with strength alpha / dim."""
    text_encoders: bool = False
    """Train both text encoders as well."""
    module: str = "networks.lora"
    """sd-scripts' network module, such as `networks.lora`, or `lycoris.kohya` with its package."""
    args: dict[str, Setting] = Field(default={})
    """The module's own arguments, such as `conv_dim: 8`."""


class Training(Spec):
    """How to train."""

    epochs: Positive | None = None
    """How often all is seen. Left out: from the number of images."""
    steps: Positive | None = None
    """Instead of epochs: as many whole epochs as come nearest to so many steps."""
    batch_size: Positive | None = None
    """Images of one step on one GPU. Left out: what fits in the VRAM."""
    resolution: Annotated[int, Field(ge=256, le=2048, multiple_of=64)] = 1024
    """Pixels: an image's area becomes at most that of a square of this side."""
    learning_rate: Annotated[float, Field(gt=0, le=2)] | None = None
    """Left out: from the kind of training, the optimizer and the number of images."""
    text_encoder_rate: Annotated[float, Field(gt=0, le=2)] | None = None
    """Learning rate of a LoRA's text encoders; left out, that of the U-Net."""
    optimizer: str | None = None
    """By sd-scripts' names, such as AdamW8bit, Adafactor or Prodigy. Left out: what fits in the VRAM."""
    optimizer_args: dict[str, Setting] = Field(default={})
    """The optimizer's own arguments, such as `weight_decay: 0.01`."""
    scheduler: str = "constant_with_warmup"
    """By sd-scripts' names, such as constant_with_warmup or cosine."""
    scheduler_args: dict[str, Setting] = Field(default={})
    """The scheduler's own arguments."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises to its full height."""
    precision: Literal["bf16", "fp16"] = "bf16"
    """What activations are computed in; fp16 for GPUs older than the RTX 30 series."""
    gradient_checkpointing: bool | None = None
    """Compute activations twice instead of keeping them. Left out: unless VRAM is to spare."""
    full_bf16: bool | None = None
    """Keep weights and gradients in bf16 too. Left out: only where nothing else fits."""
    fused: bool | None = None
    """Step while gradients are computed, which then take no VRAM; Adafactor only. Left out: where needed."""
    gradient_accumulation: Positive = 1
    """Batches for one step."""
    processes: Positive | None = None
    """GPUs to train on together; left out, all of the machine."""
    save_every_epochs: Positive | None = None
    """Left out: about ten checkpoints; on an interruptible node as often as pays."""
    keep_last: Positive | None = None
    """How many of these checkpoints stay on the machine; all come home."""
    save_state: bool | None = None
    """With each checkpoint save what it takes to go on from there. Left out: on interruptible nodes."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Of all that is drawn by chance; the same again trains the same."""
    first_step: Duration = 1800
    """How long `pulumi up` waits for the first training step."""
    on_oom: Literal["fail", "smaller"] = "fail"
    """Where the VRAM is not enough after all: stop, or go on with a smaller setting that trains the same."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs and self.steps:
            raise ValueError("give epochs or steps, not both")
        return self


def _plain(text: str) -> str:
    if text.startswith("#") or re.search(r"(^| )--", text):
        raise ValueError(
            "begins with # or has a word that begins with --, which sd-scripts takes for a comment or an "
            "option; size, steps and the like have fields of their own"
        )
    return text


class Prompt(Spec):
    """What one sample image shows."""

    prompt: Annotated[str, Field(min_length=1, pattern=r"^[^\n]+$"), AfterValidator(_plain)]
    """What to draw."""
    negative: Annotated[str, Field(pattern=r"^[^\n]*$"), AfterValidator(_plain)] = ""
    """What to keep away from."""
    width: Side | None = None
    """Left out: the training's resolution."""
    height: Side | None = None
    """Left out: the training's resolution."""
    steps: Annotated[int, Field(ge=1, le=150)] = 28
    """Of the sampler."""
    cfg: Annotated[float, Field(ge=1, le=30)] = 7
    """How strictly the prompt is followed."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """The same for each checkpoint, so that its images compare."""


class Samples(Spec):
    """Images drawn while training, which show how it goes."""

    every_epochs: Positive = 1
    """Epochs from one set of images to the next."""
    prompts: Annotated[tuple[Prompt, ...], Field(min_length=1)]
    """One image for each."""
    sampler: str = "euler_a"
    """By sd-scripts' names."""
