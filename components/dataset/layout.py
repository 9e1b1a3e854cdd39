"""From one folder to the subsets in it: kohya's `10_cat` folders, `images/` with `reg_images/`, or images alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.dataset.images import SUFFIXES, Subset
from components.dataset.problems import (
    IMAGES_BESIDE_FOLDERS,
    NO_FOLDER,
    NO_IMAGES,
    NO_REPEATS,
    UNNUMBERED_FOLDER,
    UNREADABLE_FOLDER,
    Problem,
    listed,
)

if TYPE_CHECKING:
    from pathlib import Path

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
    problem = unreadable(folder)
    if problem:
        return Layout((), (problem,))
    named = {entry.name: entry for entry in _folders(folder)}
    training = next((named[name] for name in _TRAINING if name in named), folder)
    if holds_images(folder) or any(_repeats(name) is not None for name in named):
        training = folder
    parts = [(training, False), *((named[name], True) for name in _REGULARISATION if name in named)]
    subsets: list[Subset] = []
    problems: list[Problem] = []
    for part, is_reg in parts:
        found, wrong = _part(part, is_reg=is_reg, apart=[path for path, _ in parts])
        subsets += [
            Subset(path, repeats, tokens or class_tokens, is_reg, caption_extension)
            for path, repeats, tokens in found
        ]
        problems += wrong
    return Layout(tuple(subsets), tuple(problems))


def unreadable(folder: Path) -> Problem | None:
    """Return why the files of `folder` cannot be listed, if they cannot."""
    if folder.is_file():
        return Problem(NO_FOLDER, folder, "is a file, not a folder")
    if not folder.is_dir():
        return Problem(NO_FOLDER, folder, "no such folder")
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


def _part(
    folder: Path, *, is_reg: bool, apart: list[Path]
) -> tuple[list[tuple[Path, int, str]], list[Problem]]:
    """Return path, repeats and class tokens of each subset in `folder`, whose folders `apart` are not its own."""
    folders = [entry for entry in _folders(folder) if entry not in apart]
    numbered = [(entry, repeats) for entry in folders if (repeats := _repeats(entry.name)) is not None]
    if not numbered:
        inside = [name for name in subfolders_with_images(folder) if folder / name in folders]
        if inside and not holds_images(folder):
            return [], [Problem(UNNUMBERED_FOLDER, folder / name, _no_number(name)) for name in inside]
        if not holds_images(folder) and len(apart) > 1 and not is_reg:
            return [], [Problem(NO_IMAGES, folder, "holds no images to train on")]
        return [(folder, 1, "")], []
    problems = []
    if holds_images(folder):
        names = listed([entry.name for entry, _ in numbered])
        problems.append(
            Problem(IMAGES_BESIDE_FOLDERS, folder, f"holds both images and numbered folders ({names})")
        )
    counted = {entry.name for entry, _ in numbered}
    problems += [
        Problem(UNNUMBERED_FOLDER, folder / name, _no_number(name))
        for name in subfolders_with_images(folder)
        if folder / name in folders and name not in counted
    ]
    problems += [
        Problem(NO_REPEATS, entry, f"asks for {repeats} repeats")
        for entry, repeats in numbered
        if repeats < 1
    ]
    return [
        (entry, repeats, entry.name.partition("_")[2]) for entry, repeats in numbered if repeats >= 1
    ], problems


def _no_number(name: str) -> str:
    return f"holds images, but {name.partition('_')[0]!r} is no whole number of repeats"


def _repeats(name: str) -> int | None:
    """Return the number before the first underscore, read as sd-scripts does."""
    try:
        return int(name.partition("_")[0])
    except ValueError:
        return None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix in SUFFIXES and not path.name.startswith(".")
