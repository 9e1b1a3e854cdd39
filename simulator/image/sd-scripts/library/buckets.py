"""Aspect ratio buckets: which resolutions there are, which one an image goes to, and how many batches result.

Pure arithmetic after `BucketManager` and `make_bucket_resolutions` of sd-scripts; it reads no file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Size = tuple[int, int]


class Buckets:
    """The buckets of one dataset.

    Attributes:
        area: pixels of the training resolution, the most a bucket has.
    """

    def __init__(self, resolution: Size, least: int, most: int, step: int, *, no_upscale: bool) -> None:
        """Take sides from `least` to `most` pixels in steps of `step`; without upscaling, as they come."""
        self.area = resolution[0] * resolution[1]
        self._step, self._no_upscale = step, no_upscale
        self._predefined = [] if no_upscale else resolutions(resolution, least, most, step)

    @classmethod
    def single(cls, resolution: Size) -> Buckets:
        """Return what a dataset without bucketing has: one bucket for all."""
        buckets = cls(resolution, 1, 1, 1, no_upscale=True)
        buckets._no_upscale, buckets._predefined = False, [resolution]
        return buckets

    def select(self, image: Size) -> tuple[Size, float]:
        """Return the bucket for an image, and by how much its aspect ratio differs (bucket minus image)."""
        ratio = image[0] / image[1]
        bucket = self._shrunk(image, ratio) if self._no_upscale else self._nearest(image, ratio)
        return bucket, bucket[0] / bucket[1] - ratio

    def _nearest(self, image: Size, ratio: float) -> Size:
        if image in self._predefined:
            return image
        return min(self._predefined, key=lambda size: abs(size[0] / size[1] - ratio))

    def _shrunk(self, image: Size, ratio: float) -> Size:
        width, height = image
        if width * height > self.area:
            exact_width = math.sqrt(self.area * ratio)
            exact_height = self.area / exact_width
            by_width = self._rounded(exact_width)
            by_height = self._rounded(exact_height)
            width_ratio = by_width / self._rounded(by_width / ratio)
            height_ratio = self._rounded(by_height * ratio) / by_height
            if abs(width_ratio - ratio) < abs(height_ratio - ratio):
                width, height = by_width, int(by_width / ratio + 0.5)
            else:
                width, height = int(by_height * ratio + 0.5), by_height
        return width - width % self._step, height - height % self._step

    def _rounded(self, length: float) -> int:
        whole = int(length + 0.5)
        return whole - whole % self._step


def resolutions(resolution: Size, least: int, most: int, step: int) -> list[Size]:
    """Return, sorted, the resolutions of at most that area whose sides are multiples of `step`."""
    area = resolution[0] * resolution[1]
    square = int(math.sqrt(area) // step) * step
    found = {(square, square)}
    for width in range(least, most + 1, step):
        height = min(most, int((area // width) // step) * step)
        if height >= least:
            found |= {(width, height), (height, width)}
    return sorted(found)


def batches(counts: Sequence[int], batch_size: int) -> int:
    """Return the batches of an epoch: each bucket rounds up for itself."""
    return sum(math.ceil(count / batch_size) for count in counts)
