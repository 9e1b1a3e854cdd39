"""A training job: `kind: train`."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.spec.base import Duration, Sha256, Spec
from components.spec.node import Node

OutputName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Positive = Annotated[int, Field(ge=1)]


class BaseModelSource(Spec):
    """Where the node gets the SDXL checkpoint that training starts from: exactly one of the three ways."""

    huggingface: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """Hugging Face repository, with `file` naming the one file in it."""
    file: Annotated[str, Field(pattern=r"^[\w./-]+\.safetensors$")] | None = None
    """The file in that repository."""
    url: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None
    """https address of a .safetensors file."""
    path: Annotated[str, Field(pattern=r"^/\S+\.safetensors$")] | None = None
    """A file that is already on the node."""
    sha256: Sha256 | None = None
    """Checked after the download."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("huggingface", "url", "path") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"give exactly one of huggingface, url and path; found {found}")
        if (self.huggingface is None) != (self.file is None):
            raise ValueError("huggingface and file belong together: the repository and the one file in it")
        return self


class Dataset(Spec):
    """One folder of images with captions."""

    path: Annotated[str, Field(min_length=1)]
    """Folder on this computer; each image beside its caption of the same stem. Not recursive."""
    repeats: Positive = 1
    """How often an epoch sees each image."""
    caption_extension: Literal[".txt", ".caption"] = ".txt"
    class_tokens: str = ""
    """Caption of images that have none."""
    keep_tokens: Annotated[int, Field(ge=0)] = 0
    """Caption tags at the front that shuffling leaves in place."""
    shuffle_caption: bool = False
    flip_aug: bool = False
    """Mirror images at random; not for faces, text or anything with a left and a right."""


class Buckets(Spec):
    """Aspect ratio bucketing: train on several shapes without cropping."""

    enabled: bool = True
    min: Annotated[int, Field(ge=256, multiple_of=32)] = 512
    """Shortest side in pixels."""
    max: Annotated[int, Field(ge=256, multiple_of=32)] = 2048
    """Longest side in pixels."""
    step: Annotated[int, Field(ge=32, multiple_of=32)] = 64
    """Sides are multiples of this many pixels."""


class Lora(Spec):
    """The LoRA to train; without it the whole U-Net is trained."""

    dim: Annotated[int, Field(ge=1, le=512)] = 32
    """Rank: about 5.3 MB of fp16 file for each."""
    alpha: Annotated[float, Field(gt=0)] = 16
    """Scale: the LoRA acts with strength alpha / dim."""
    text_encoders: bool = False
    """Train both text encoders as well."""


class Training(Spec):
    """How to train."""

    epochs: Positive
    batch_size: Positive = 1
    resolution: Annotated[int, Field(ge=256, le=2048, multiple_of=64)] = 1024
    learning_rate: Annotated[float, Field(gt=0, le=2)]
    optimizer: Literal["AdamW", "AdamW8bit", "Adafactor"] = "AdamW8bit"
    scheduler: Literal["constant", "constant_with_warmup", "cosine", "linear"] = "constant_with_warmup"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    precision: Literal["bf16", "fp16"] = "bf16"
    gradient_checkpointing: bool = True
    gradient_accumulation: Positive = 1
    save_every_epochs: Positive = 1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    first_step: Duration = 1800
    """How long `pulumi up` waits for the first training step."""

    @model_validator(mode="after")
    def _warmup(self) -> Self:
        if self.scheduler == "constant" and self.warmup_steps:
            raise ValueError(
                "scheduler constant takes no warmup_steps (sd-scripts stops after loading the model): "
                "use constant_with_warmup, or leave warmup_steps out"
            )
        return self


class TrainJob(Spec):
    """Train SDXL, by LoRA or in full, on a rented machine and bring the checkpoints home."""

    kind: Literal["train"]
    name: OutputName
    """Name of the checkpoint files."""
    node: Node
    base_model: BaseModelSource
    dataset: Dataset
    buckets: Buckets = Buckets()
    lora: Lora | None = None
    training: Training

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        if self.buckets.enabled and self.buckets.step > self.buckets.min:
            raise ValueError(f"buckets.step {self.buckets.step} is above buckets.min {self.buckets.min}")
        if self.buckets.enabled and not self.buckets.min <= self.training.resolution <= self.buckets.max:
            raise ValueError(
                f"training.resolution {self.training.resolution} is outside buckets.min {self.buckets.min} "
                f"to buckets.max {self.buckets.max}"
            )
        if self.base_model.path and not PurePosixPath(self.base_model.path).is_relative_to("/workspace"):
            raise ValueError("base_model.path must be under /workspace on the node")
        return self
