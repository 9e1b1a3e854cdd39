"""The `models:` part of an inference job."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from components.spec.base import Positive, Spec
from components.spec.model import ModelSource

_MODEL = r"\.(safetensors|pth)$"


class ServedModel(ModelSource):
    """A model that ComfyUI loads: as for training, or one that a stack has trained."""

    WAYS: ClassVar[tuple[str, ...]] = ("huggingface", "url", "local", "path", "train")

    train: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    """A stack of this project: a checkpoint that its training has brought home."""
    run: Annotated[str, Field(pattern=r"^[^/\n]+$")] | None = None
    """Which of its runs; the one that the stack is on by default."""
    epoch: Positive | None = None
    """The checkpoint after that epoch; the last one by default."""

    @model_validator(mode="after")
    def _of_a_stack(self) -> Self:
        if (self.run or self.epoch) and not self.train:
            raise ValueError("run and epoch choose among what a stack has trained: they belong to `train`")
        return self


class ServedLora(ServedModel):
    """A LoRA that requests may use."""

    strength: Annotated[float, Field(ge=-2, le=2)] = 1.0
    """Where a request says nothing of it."""


class Upscaler(ServedModel):
    """A model that enlarges images; it may be a .pth file, of which ComfyUI reads the weights alone."""

    ENDINGS: ClassVar[tuple[str, ...]] = (".safetensors", ".pth")

    file: Annotated[str, Field(pattern=r"^[\w./-]+" + _MODEL)] | None = None
    local: Annotated[str, Field(pattern=r"^[^\n]+" + _MODEL)] | None = None
    path: Annotated[str, Field(pattern=r"^/\S+" + _MODEL)] | None = None


class Models(Spec):
    """What ComfyUI has to work with."""

    checkpoint: ServedModel
    """SDXL, or what was made of it."""
    refiner: ServedModel | None = None
    """SDXL's refiner; adds the workflow text-to-image-refined."""
    vae: ServedModel | None = None
    """Instead of the checkpoint's own."""
    loras: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")], ServedLora] = Field(default={})
    """By the names that requests use; they are applied in this order."""
    upscaler: Upscaler | None = None
    """Adds the workflow upscale."""

    def sources(self) -> dict[str, ServedModel]:
        """Return every model by its path in the job file, such as `checkpoint` or `loras.cat`."""
        single = {name: getattr(self, name) for name in ("checkpoint", "refiner", "vae", "upscaler")}
        return {name: model for name, model in single.items() if model} | {
            f"loras.{name}": lora for name, lora in self.loras.items()
        }
