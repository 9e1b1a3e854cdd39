"""Aspect ratio bucketing: which resolution an image is trained at. Pure arithmetic after sd-scripts' own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from components.dataset.images import Size


class Place(NamedTuple):
    """Where an image goes.

    Attributes:
        bucket: the resolution that it is trained at.
        enlargement: by how much its sides are scaled; above 1 pixels are made up.
        kept: the share of its area that is left when what stands over is cut off.
    """

    bucket: Size
    enlargement: float
    kept: float


@dataclass(frozen=True)
class Buckets:
    """The bucketing of a dataset.

    Attributes:
        resolution: of training; its area is the most that a bucket has.
        enabled: whether there is more than the one bucket of `resolution`.
        least: shortest side of a bucket in pixels.
        most: longest side of a bucket in pixels.
        step: sides are multiples of this.
        no_upscale: take images as they are and only shrink them; `least` and `most` then mean nothing.
    """

    resolution: Size = (1024, 1024)
    enabled: bool = True
    least: int = 512
    most: int = 2048
    step: int = 64
    no_upscale: bool = False

    def place(self, image: Size) -> Place | None:
        """Return where an image goes, or None where sd-scripts finds no bucket and stops."""
        if not self.enabled or not self.no_upscale:
            bucket = self._nearest(image)
            scale = max(bucket[0] / image[0], bucket[1] / image[1])
            resized = image[0] * scale, image[1] * scale
        else:
            found = self._shrunk(image)
            if found is None:
                return None
            bucket, resized = found
        kept = bucket[0] * bucket[1] / (resized[0] * resized[1])
        return Place(bucket, resized[0] / image[0], min(1.0, kept))

    @cached_property
    def resolutions(self) -> list[Size]:
        """All buckets, sorted, where images are scaled into given ones."""
        width, height = self.resolution
        if not self.enabled:
            return [self.resolution]
        area = width * height
        least, most = self.least - self.least % self.step, self.most + -self.most % self.step
        square = int(math.sqrt(area) // self.step) * self.step
        found = {(square, square)}
        for side in range(least, most + 1, self.step):
            other = min(most, area // side // self.step * self.step)
            if other >= least:
                found |= {(side, other), (other, side)}
        return sorted(found)

    def _nearest(self, image: Size) -> Size:
        if image in self.resolutions:
            return image
        ratio = image[0] / image[1]
        return min(self.resolutions, key=lambda bucket: abs(bucket[0] / bucket[1] - ratio))

    def _shrunk(self, image: Size) -> tuple[Size, tuple[float, float]] | None:
        width, height = image
        area = self.resolution[0] * self.resolution[1]
        if width * height > area:
            ratio = width / height
            exact = math.sqrt(area * ratio)
            by_width, by_height = self._rounded(exact), self._rounded(area / exact)
            height_of_width, width_of_height = (
                self._rounded(by_width / ratio),
                self._rounded(by_height * ratio),
            )
            if not height_of_width or not by_height:
                return None
            width_error = abs(by_width / height_of_width - ratio)
            if width_error < abs(width_of_height / by_height - ratio):
                width, height = by_width, int(by_width / ratio + 0.5)
            else:
                width, height = int(by_height * ratio + 0.5), by_height
        bucket = width - width % self.step, height - height % self.step
        return (bucket, (width, height)) if all(bucket) else None

    def _rounded(self, length: float) -> int:
        whole = int(length + 0.5)
        return whole - whole % self.step
