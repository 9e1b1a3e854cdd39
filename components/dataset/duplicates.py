"""Images that are in a dataset more than once: the same bytes, or so alike that a person sees one picture."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from components.dataset.pixels import THUMBNAIL
from components.dataset.problems import LOOKALIKE_IMAGE, SAME_IMAGE, Problem, shown
from components.remote.manifest import known_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from components.dataset.images import Image

_BITS: Final = 3
"""Differing bits of the 64 that still count as alike."""
_BANDS: Final = _BITS + 1
_COLOUR: Final = 10
"""Mean difference of colour values, of 255, that still counts as alike."""


def find(images: Sequence[Image]) -> Iterator[Problem]:
    """Tell of each image that is, or looks like, one before it."""
    same: set[Path] = set()
    for first, others in _equal(images):
        for other in others:
            same.add(other)
            yield Problem(SAME_IMAGE, other, f"is the same file as {_named(first, other)}")
    different = [image for image in images if image.path not in same]
    for earlier, later in _alike(different):
        yield Problem(LOOKALIKE_IMAGE, later.path, f"looks like {_named(earlier.path, later.path)}")


def _named(path: Path, near: Path) -> str:
    return shown(path.relative_to(near.parent) if path.parent == near.parent else path)


def _equal(images: Iterable[Image]) -> Iterator[tuple[Path, list[Path]]]:
    by_size: defaultdict[tuple[int, ...], list[Path]] = defaultdict(list)
    for image in images:
        by_size[*image.size, image.path.stat().st_size].append(image.path)
    paths = [path for like in by_size.values() if len(like) > 1 for path in like]
    by_hash: defaultdict[str, list[Path]] = defaultdict(list)
    for path, digest in zip(paths, known_hashes(paths), strict=True):
        by_hash[digest].append(path)
    yield from ((first, others) for first, *others in by_hash.values() if others)


def _alike(images: Sequence[Image]) -> Iterator[tuple[Image, Image]]:
    """Pair each image with the first before it that it looks like.

    Two hashes that differ in `_BITS` bits at most agree in one of `_BITS + 1` bands at least, so that only
    images that share a band have to be compared.
    """
    width = 64 // _BANDS
    bands: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    hashes = [fingerprint(image.thumbnail) for image in images]
    for index, (image, found) in enumerate(zip(images, hashes, strict=True)):
        keys = [(band, found >> band * width & (1 << width) - 1) for band in range(_BANDS)]
        candidates = sorted({candidate for key in keys for candidate in bands[key]})
        for candidate in candidates:
            if (hashes[candidate] ^ found).bit_count() <= _BITS and _same_colours(images[candidate], image):
                yield images[candidate], image
                break
        for key in keys:
            bands[key].append(index)


def fingerprint(thumbnail: bytes) -> int:
    """Return 64 bits of a picture: whether each of 8 by 8 cells is darker than the next (dHash)."""
    width, height = THUMBNAIL
    grey = list(map(sum, zip(thumbnail[::3], thumbnail[1::3], thumbnail[2::3], strict=True)))
    bits = 0
    for row in range(height):
        for column in range(width - 1):
            left = row * width + column
            bits = bits << 1 | (grey[left] < grey[left + 1])
    return bits


def _same_colours(one: Image, other: Image) -> bool:
    difference = sum(abs(a - b) for a, b in zip(one.thumbnail, other.thumbnail, strict=True))
    return difference <= _COLOUR * len(one.thumbnail)
