"""What a request may say: the parameters of each workflow, and the limits that they keep to. Pure."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from comfy.nodes import inputs, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic.config import JsonDict

    from comfy.graph import Graph

SEEDS: Final = 2**53
"""Seeds are below this: ComfyUI takes 64 bits, JSON carries 53."""

_SIDE: Final = 1024
STRENGTH: Final = 2.0
"""A LoRA is applied at most this strongly, either way."""

Prompt = Annotated[str, Field(max_length=10_000)]
"""A text for the model."""

FileName = Annotated[str, Field(pattern=r"^([\w-][\w .()-]*/)*[\w-][\w .()-]*$", max_length=255)]
"""An uploaded image's, relative to ComfyUI's folder, which it can't leave."""


class Limits(BaseModel):
    """What one request may ask of the GPU.

    Attributes:
        multiple: widths and heights are multiples of it, in pixels. ComfyUI rounds down to 8 without a word;
            SDXL was trained on multiples of 64.
        min_side: the least width and height, in pixels.
        max_side: the most, in pixels.
        max_pixels: the most that width times height may be.
        max_steps: the most sampling steps.
        max_batch: the most images at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    multiple: int = Field(64, ge=8, multiple_of=8)
    min_side: int = Field(256, ge=16)
    max_side: int = Field(2048, le=16384)
    max_pixels: int = 2_359_296
    max_steps: int = Field(150, ge=1, le=10_000)
    max_batch: int = Field(4, ge=1, le=64)

    @model_validator(mode="after")
    def _leave_a_size(self) -> Self:
        least = -(-self.min_side // self.multiple) * self.multiple
        if least > self.max_side or least**2 > self.max_pixels:
            raise ValueError(
                f"no size is left: the least, {least}x{least}, is over max_side {self.max_side} "
                f"or max_pixels {self.max_pixels}"
            )
        return self

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """Return the size nearest to width x height, of about that shape, which the limits allow."""
        least = -(-self.min_side // self.multiple) * self.multiple
        shrink = min(1, self.max_side / max(width, height), (self.max_pixels / (width * height)) ** 0.5)
        short, long = (self._floor(side * shrink, least) for side in sorted((width, height)))
        long = min(long, self._floor(self.max_pixels / short, least))
        return (long, short) if width > height else (short, long)

    def _floor(self, side: float, least: int) -> int:
        return max(least, int(side // self.multiple) * self.multiple)


class Parameters(BaseModel):
    """The parameters of one workflow: nothing is converted, and nothing that they do not know is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TextToImage(Parameters):
    """What text-to-image takes, before `within` bounds its numbers and choices."""

    prompt: Prompt = Field(description="what the image shows")
    negative_prompt: Prompt = Field("", description="what it does not show")
    width: int = 1024
    height: int = 1024
    steps: int = 32
    cfg: float = 7.0
    seed: int | None = None
    sampler: str = "euler"
    scheduler: str = "normal"
    batch: int = 1
    loras: dict[str, float] = {}


class TextToImageRefined(TextToImage):
    """What text-to-image-refined takes."""

    refine_at: float = Field(
        0.8, ge=0.1, le=0.99, description="the share of the steps that the base model makes"
    )


class ImageToImage(TextToImage):
    """What image-to-image takes."""

    image: FileName = Field(description="the image to start from, uploaded before")
    denoise: float = Field(
        0.6, ge=0.01, le=1, description="how much to change: 0.3 touches up, 1 keeps nothing"
    )


class Upscale(Parameters):
    """What upscale takes."""

    image: FileName = Field(description="the image to enlarge, uploaded before")
    scale: float = Field(
        1.0, ge=0.05, le=1, description="shrinks the sides after: 0.5 makes 2x of a 4x model"
    )


P = TypeVar("P", bound=BaseModel)


def within(kind: type[P], limits: Limits, loras: Mapping[str, float]) -> type[P]:
    """Return `kind` bounded: its numbers by `limits`, its choices by ComfyUI's, its LoRAs by `loras`.

    Args:
        kind: one of the classes above.
        limits: what one request may ask.
        loras: name -> the strength that it has where a request says nothing.
    """
    bound = bounds(limits)
    width, height = limits.fit(_SIDE, _SIDE)
    sampler = inputs(load()["KSampler"])
    fields: dict[str, Any] = {
        "width": (int, Field(width, **bound["width"], description="pixels")),
        "height": (int, Field(height, **bound["height"], description="pixels")),
        "steps": (
            int,
            Field(min(32, limits.max_steps), **bound["steps"], description="of sampling; 20 to 50 is usual"),
        ),
        "cfg": (
            float,
            Field(7.0, **bound["cfg"], description="how closely to follow the prompt; 5 to 9 is usual"),
        ),
        "seed": (
            Annotated[int, Field(**bound["seed"])] | None,
            Field(None, description="the same seed draws the same image; null draws a new one"),
        ),
        "sampler": (
            one_of(sampler["sampler_name"][1]["options"]),
            Field("euler", description="the algorithm"),
        ),
        "scheduler": (
            one_of(sampler["scheduler"][1]["options"]),
            Field("normal", description="how noise falls"),
        ),
        "batch": (int, Field(1, **bound["batch"], description="how many images at once")),
        "loras": _loras(loras),
    }
    return create_model(
        kind.__name__,
        __base__=kind,
        __validators__=few_pixels(limits),
        **{name: field for name, field in fields.items() if name in kind.model_fields},
    )


def bounds(limits: Limits) -> dict[str, dict[str, Any]]:
    """Return the bounds of numbers by the parameter's name, as `Field` takes them."""
    side = {"ge": limits.min_side, "le": limits.max_side, "multiple_of": limits.multiple}
    return {
        "width": side,
        "height": side,
        "steps": {"ge": 1, "le": limits.max_steps},
        "cfg": {"ge": 0, "le": 100},
        "seed": {"ge": 0, "le": SEEDS - 1},
        "batch": {"ge": 1, "le": limits.max_batch},
    }


def one_of(options: Iterable[Any]) -> Any:
    """Return the type whose values are the options."""
    return Literal.__getitem__(tuple(options))


def few_pixels(limits: Limits) -> dict[str, Any]:
    """Return the validator of width times height, for `create_model`."""

    def few_enough(parameters: Any) -> Any:
        width, height = getattr(parameters, "width", 0), getattr(parameters, "height", 0)
        if width * height > limits.max_pixels:
            fitting = "x".join(map(str, limits.fit(width, height)))
            raise ValueError(
                f"{width}x{height} is {width * height:,} pixels, over the limit of {limits.max_pixels:,}: "
                f"{fitting} fits"
            )
        return parameters

    return {"few_enough": model_validator(mode="after")(few_enough)}


def _loras(strengths: Mapping[str, float]) -> Any:
    """Return the type and field of `loras`."""

    def known(given: dict[str, float]) -> dict[str, float]:
        if unknown := [name for name in given if name not in strengths]:
            there = f"there is {', '.join(strengths)}" if strengths else "none is configured"
            raise ValueError(f"no LoRA is named {', '.join(map(repr, unknown))}: {there}")
        return given

    strength = Annotated[float, Field(ge=-STRENGTH, le=STRENGTH)]
    each: JsonDict = {
        name: {"type": "number", "minimum": -STRENGTH, "maximum": STRENGTH, "default": default}
        for name, default in strengths.items()
    }
    return Annotated[dict[str, strength], AfterValidator(known)], Field(
        dict(strengths),
        description="name to strength; those that are not named are left out, as at strength 0",
        json_schema_extra={"properties": each, "additionalProperties": False},
    )


@dataclass(frozen=True)
class Workflow:
    """A graph with holes for parameters.

    Attributes:
        name: words joined by hyphens.
        description: one sentence for a person.
        parameters: the model that a request's parameters are read with; its JSON schema describes them.
        build: parameters and the prefix of the files that are saved -> the graph. The seed is drawn before.
        images: which parameters are the file name of an uploaded image.
    """

    name: str
    description: str
    parameters: type[BaseModel]
    build: Callable[[Any, str], Graph]
    images: tuple[str, ...] = ()


def seeded(parameters: P) -> P:
    """Return the parameters with a seed drawn, where there is one and the request left it open."""
    if getattr(parameters, "seed", 0) is None:
        return parameters.model_copy(update={"seed": secrets.randbelow(SEEDS)})
    return parameters
