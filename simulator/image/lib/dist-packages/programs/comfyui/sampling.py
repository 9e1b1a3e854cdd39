"""What travels between nodes in place of tensors: which weights, which words, which picture to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from programs.comfyui import drawing

if TYPE_CHECKING:
    from programs.comfyui.drawing import Scene

Images = list[Image.Image]


class Weights(NamedTuple):
    """A model with its LoRAs, for MODEL and CLIP alike."""

    checkpoint: str
    loras: tuple[tuple[str, float], ...] = ()

    def with_lora(self, name: str, strength: float) -> Weights:
        """Return the same with one LoRA more."""
        return self._replace(loras=(*self.loras, (name, strength))) if strength else self


@dataclass(frozen=True)
class Latent:
    """A batch of pictures not drawn yet.

    Attributes:
        width: in pixels, as the height.
        under: the images that it began with.
        layers: scenes in the order they were sampled, each with its share of the picture.
    """

    width: int
    height: int
    batch: int = 1
    under: tuple[Image.Image, ...] = ()
    layers: tuple[tuple[Scene, float], ...] = ()

    def sampled(self, scene: Scene, share: float) -> Latent:
        """Return what a sampler makes of it; `share` is how much of the old is gone."""
        return replace(self, layers=(*self.layers, (scene, share)))

    def images(self) -> Images:
        """Draw the batch."""
        return [self.image(index) for index in range(self.batch)]

    def image(self, index: int) -> Image.Image:
        """Draw one picture of the batch."""
        size = (self.width, self.height)
        if self.under:
            image = self.under[index % len(self.under)].convert("RGB")
            image = image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
        else:
            image = Image.new("RGB", size, (118, 110, 98))
        for scene, share in self.layers:
            drawn = drawing.draw(scene._replace(place=index), *size)
            image = drawn if share >= 1 else Image.blend(image, drawn, share)
        return image
