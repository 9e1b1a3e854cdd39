"""From one folder to its subsets: kohya's `10_cat` folders, `images/` with `reg_images/`, or images alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from components.dataset.images import SUFFIXES, Subset
from components.dataset.problems import (
    IMAGES_BESIDE_FOLDERS,
    NESTED_IMAGES,
    NO_FOLDER,
    NO_REPEATS,
    UNNUMBERED_FOLDER,
    UNREADABLE_FOLDER,
    Problem,
    listed,
)

_TRAINING: Final = ("images", "img")
_REGULARISATION: Final = ("reg_images", "reg")
"""The folders of a common guide, and those that kohya's GUI makes."""


@dataclass(frozen=True)
class Layout:
    """The subsets of a folder, not yet read, and what is wrong with its shape."""

    subsets: tuple[Subset, ...]
    problems: tuple[Problem, ...]


def discover(folder: Path, *, class_tokens: str = "", caption_extension: str = ".txt") -> Layout:
    """Find the subsets of `folder`.

    Args:
        folder: holds images; or folders named `<repeats>_<class tokens>`; or `images` (or `img`) and perhaps
            `reg_images` (or `reg`), each of them shaped in one of these two ways.
        class_tokens: of the subsets whose folder's name gives none.
        caption_extension: of all subsets.
    """
    if problem := unreadable(folder):
        return Layout((), (problem,))
    parts = _parts(folder)
    apart = [path for path, _ in parts]
    subsets: list[Subset] = []
    problems: list[Problem] = []
    if apart[0] != folder:
        ignored = [name for name in subfolders_with_images(folder) if folder / name not in apart]
        if ignored:
            problems.append(Problem(NESTED_IMAGES, folder, f"images are in its subfolders {listed(ignored)}"))
    for path, is_reg in parts:
        if problem := unreadable(path):
            problems.append(problem)
            continue
        found, wrong = _subsets(path, apart)
        problems += wrong
        subsets += [
            replace(
                subset,
                is_reg=is_reg,
                class_tokens=subset.class_tokens or class_tokens,
                caption_extension=caption_extension,
            )
            for subset in found
        ]
    return Layout(tuple(subsets), tuple(problems))


def unreadable(folder: Path) -> Problem | None:
    """Return why the files of `folder` cannot be listed, if they cannot."""
    if folder.is_file():
        return Problem(NO_FOLDER, folder, "is a file, not a folder")
    if not folder.is_dir():
        where = "" if folder.is_absolute() else f" in {Path.cwd()}"
        return Problem(NO_FOLDER, folder, f"no such folder{where}")
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        return Problem(UNREADABLE_FOLDER, folder, f"cannot be read: {error.strerror}")
    return None


def holds_images(folder: Path) -> bool:
    """Return whether images lie in `folder` itself."""
    return any(_is_image(path) for path in folder.iterdir())


def subfolders_with_images(folder: Path) -> list[str]:
    """Return the names of the subfolders that hold images, however deep."""
    return [
        entry.name
        for entry in _folders(folder)
        if any(_is_image(path) for path in entry.rglob("*") if not path.is_dir())
    ]


def _parts(folder: Path) -> list[tuple[Path, bool]]:
    """Return where images to train on are, and where regularisation images (True) are if there are any."""
    named = {entry.name: entry for entry in _folders(folder)}
    training = folder
    if not holds_images(folder) and all(numbered(name) is None for name in named):
        training = next((named[name] for name in _TRAINING if name in named), folder)
    regularisation = [(named[name], True) for name in _REGULARISATION if name in named]
    return [(training, False), *regularisation[:1]]


def _subsets(folder: Path, apart: list[Path]) -> tuple[list[Subset], list[Problem]]:
    """Return the numbered folders in `folder`, or `folder` itself; folders `apart` are not its own."""
    folders = [entry for entry in _folders(folder) if entry not in apart]
    counted = {entry: repeats for entry in folders if (repeats := numbered(entry.name)) is not None}
    others = [folder / name for name in subfolders_with_images(folder)]
    unnumbered = [
        Problem(UNNUMBERED_FOLDER, entry, f"holds images, but {_prefix(entry)!r} is no number of repeats")
        for entry in others
        if entry in folders and entry not in counted
    ]
    if not counted:
        flat = holds_images(folder) or not unnumbered
        return ([Subset(folder)], []) if flat else ([], unnumbered)
    beside = []
    if holds_images(folder):
        names = listed([entry.name for entry in counted])
        beside = [Problem(IMAGES_BESIDE_FOLDERS, folder, f"holds images beside the numbered folders {names}")]
    no_repeats = [
        Problem(NO_REPEATS, entry, f"asks for {repeats} repeats")
        for entry, repeats in counted.items()
        if repeats < 1
    ]
    subsets = [
        Subset(entry, repeats, entry.name.partition("_")[2])
        for entry, repeats in counted.items()
        if repeats >= 1
    ]
    return subsets, [*beside, *unnumbered, *no_repeats]


def _prefix(folder: Path) -> str:
    return folder.name.partition("_")[0]


def numbered(name: str) -> int | None:
    """Return the number before the first underscore, read as sd-scripts does."""
    try:
        return int(name.partition("_")[0])
    except ValueError:
        return None


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:  # which knows most of them without a look at each
        return sorted(Path(each) for each in entries if _is_folder(each) and not each.name.startswith("."))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return Path(entry).is_dir() if entry.is_symlink() else entry.is_dir()


def _is_image(path: Path) -> bool:
    return path.suffix in SUFFIXES and not path.name.startswith(".")
