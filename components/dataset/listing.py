"""The files of one subset: which are images, which sd-scripts overlooks, and what is wrong with names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.dataset.captions import check_names
from components.dataset.images import SUFFIXES
from components.dataset.layout import subfolders_with_images
from components.dataset.problems import (
    CASE_VARIANTS,
    LONG_NAME,
    MIXED_CASE_SUFFIX,
    NESTED_IMAGES,
    NO_FILE,
    NO_IMAGES,
    OVERLOOKED_FORMAT,
    SAME_STEM,
    STALE_CACHES,
    UNSENDABLE_NAME,
    Problem,
    listed,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from components.dataset.images import Subset

_OTHER_PICTURES: Final = frozenset(
    [
        ".heic",
        ".heif",
        ".avif",
        ".jxl",
        ".jfif",
        ".jpe",
        ".jp2",
        ".gif",
        ".apng",
        ".tif",
        ".tiff",
        ".tga",
        ".psd",
        ".svg",
        ".ico",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".orf",
        ".raf",
        ".rw2",
    ]
)
_UNSENDABLE: Final = re.compile("[\n\r\\\\\ud800-\udfff]")
_LONGEST_STEM: Final = 255 - len("_1024x1024_sdxl.npz")


@dataclass(frozen=True)
class Listing:
    """The files of a subset.

    Attributes:
        images: in the order of sd-scripts.
        names: of all files, among them the captions.
        problems: what can be told without opening a file.
    """

    images: tuple[Path, ...]
    names: frozenset[str]
    problems: tuple[Problem, ...]


def read(subset: Subset, apart: Collection[Path] = ()) -> Listing:
    """List the files of a subset whose folder can be read; folders `apart` are subsets of their own."""
    visible = (path for path in subset.path.iterdir() if not path.name.startswith("."))
    entries = {path: path.is_file() for path in sorted(visible, key=lambda path: path.name)}
    images = [path for path, is_file in entries.items() if is_file and path.suffix in SUFFIXES]
    names = frozenset(path.name for path, is_file in entries.items() if is_file)
    nested = [
        name
        for name in subfolders_with_images(subset.path)
        if not any(path.is_relative_to(subset.path / name) for path in apart)
    ]
    problems = [problem for path, is_file in entries.items() for problem in _entry(path, is_file=is_file)]
    if images:
        if nested:
            problems.append(
                Problem(NESTED_IMAGES, subset.path, f"images are in its subfolders {listed(nested)}")
            )
        problems += _stems(images)
        problems += check_names(subset, [path.name for path in images], names)
    else:
        hint = f", but its subfolders {listed(nested)} do" if nested else ""
        problems.append(
            Problem(NO_IMAGES, subset.path, f"holds no images (.png, .jpg, .jpeg, .webp, .bmp){hint}")
        )
    caches = [path.name for path in entries if path.suffix == ".npz"]
    if caches:
        problems.append(
            Problem(STALE_CACHES, subset.path, f"holds what an earlier training cached: {listed(caches)}")
        )
    return Listing(tuple(images), names, tuple(problems))


def _entry(path: Path, *, is_file: bool) -> Iterator[Problem]:
    if _UNSENDABLE.search(path.name):
        yield Problem(UNSENDABLE_NAME, path, "cannot have this name")
    if path.suffix in SUFFIXES:
        if not is_file:
            yield Problem(NO_FILE, path, _no_file(path))
        elif len(path.stem.encode(errors="surrogateescape")) > _LONGEST_STEM:
            yield Problem(LONG_NAME, path, "has too long a name")
    elif path.suffix.lower() in SUFFIXES:
        yield Problem(MIXED_CASE_SUFFIX, path, f"has the suffix {path.suffix}")
    elif path.suffix.lower() in _OTHER_PICTURES:
        yield Problem(OVERLOOKED_FORMAT, path, f"is a {path.suffix} file")


def _no_file(path: Path) -> str:
    if path.is_dir():
        return "is a folder with the name of an image"
    return "is a broken link" if path.is_symlink() else "is no regular file"


def _stems(images: Iterable[Path]) -> Iterator[Problem]:
    """Tell of images whose names differ in nothing but suffix or case."""
    same: dict[str, Path] = {}
    alike: dict[str, Path] = {}
    for path in images:
        first = same.setdefault(path.stem, path)
        near = alike.setdefault(path.stem.casefold(), path)
        if first != path:
            yield Problem(SAME_STEM, path, f"has the same stem as {shown(Path(first.name))}")
        elif near != path:
            yield Problem(CASE_VARIANTS, path, f"differs from {shown(Path(near.name))} in case only")
