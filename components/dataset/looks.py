"""What in an image, readable as it is, sd-scripts would treat otherwise than a person expects. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.dataset.pixels import HUGE
from components.dataset.problems import (
    ANIMATED_IMAGE,
    CMYK_IMAGE,
    CROPPED_IMAGE,
    DEEP_IMAGE,
    DISGUISED_FORMAT,
    ENLARGED_IMAGE,
    HUGE_IMAGE,
    NO_BUCKET,
    TINY_IMAGE,
    TRANSPARENT_IMAGE,
    TURNED_IMAGE,
    Problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.dataset.buckets import Buckets
    from components.dataset.images import Image

_EXPECTED: Final = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB")
_TINY: Final = 256
_ENLARGED: Final = 2.0
_KEPT: Final = 2 / 3
_STORED: Final = {
    2: "mirrored",
    3: "upside down",
    4: "mirrored and upside down",
    5: "mirrored and lying on its side",
    6: "lying on its side",
    7: "mirrored and lying on its side",
    8: "lying on its side",
}


def check(image: Image, buckets: Buckets) -> Iterator[Problem]:
    """Tell what is odd about an image that goes into `buckets`."""
    if image.orientation in _STORED:
        stored = _STORED[image.orientation]
        words = f"has EXIF orientation {image.orientation}, which sd-scripts ignores: it is trained {stored}"
        yield Problem(TURNED_IMAGE, image.path, words)
    if image.mode == "CMYK":
        yield Problem(CMYK_IMAGE, image.path, "has CMYK colours")
    if image.mode.startswith(("I", "F")):
        yield Problem(DEEP_IMAGE, image.path, "has grey levels of more than 8 bits")
    if image.transparent:
        yield Problem(TRANSPARENT_IMAGE, image.path, "has transparent pixels")
    if image.frames > 1:
        yield Problem(ANIMATED_IMAGE, image.path, f"is animated ({image.frames} frames)")
    if image.format not in _EXPECTED:
        yield Problem(DISGUISED_FORMAT, image.path, f"holds {image.format}, whatever its suffix says")
    if image.width * image.height > HUGE:
        pixels = image.width * image.height
        words = f"has {pixels / 1e6:.0f} megapixels, {pixels * 3 / 1e9:.2g} GB of memory once decoded"
        yield Problem(HUGE_IMAGE, image.path, words)
    yield from _fit(image, buckets)


def _fit(image: Image, buckets: Buckets) -> Iterator[Problem]:
    size = f"{image.width}x{image.height}"
    place = buckets.place(image.size)
    if place is None:
        yield Problem(NO_BUCKET, image.path, f"of {size} pixels fits no bucket")
        return
    bucket = f"{place.bucket[0]}x{place.bucket[1]}"
    if place.enlargement > _ENLARGED:
        kind = TINY_IMAGE if min(image.size) < _TINY else ENLARGED_IMAGE
        words = f"of {size} pixels would be enlarged {place.enlargement:.2g} times to {bucket}"
        yield Problem(kind, image.path, words)
    if place.kept < _KEPT:
        words = f"of {size} pixels keeps {place.kept:.0%} of its area in its bucket {bucket}"
        yield Problem(CROPPED_IMAGE, image.path, words)
