"""Captions as sd-scripts takes them: a text file beside the image with the same stem, its first line only."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from components.dataset.problems import (
    BYTE_ORDER_MARK,
    CAPTION_WITHOUT_IMAGE,
    EMPTY_CAPTION,
    EMPTY_FIRST_LINE,
    MISSING_CAPTION,
    MISSING_REG_CAPTION,
    MORE_LINES,
    NOT_UTF8,
    UNREADABLE_FILE,
    Problem,
    shown,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from components.dataset.images import Subset

_FACE_PARTS: Final = 4
"""Stems may end in _x_y_width_height of a face; sd-scripts also looks for a caption without these."""

_EXTENSIONS: Final = (".txt", ".caption")


def caption_name(image: str, extension: str, names: Collection[str]) -> str | None:
    """Return which of the file `names` holds the caption of the image called `image`."""
    stem = PurePath(image).stem
    parts = stem.split("_")
    stems = [stem, "_".join(parts[:-_FACE_PARTS])] if len(parts) > _FACE_PARTS else [stem]
    return next((name for stem in stems if (name := stem + extension) in names), None)


def read(path: Path) -> tuple[str | None, list[Problem]]:
    """Return the caption in the file `path`, if sd-scripts gets one out of it, and what is wrong with it."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        return None, [Problem(UNREADABLE_FILE, path, f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        why = "is UTF-16" if utf16 else f"is not UTF-8 ({error.reason} at byte {error.start})"
        return None, [Problem(NOT_UTF8, path, why)]
    if "\0" in text:
        return None, [Problem(NOT_UTF8, path, "is UTF-16, or no text")]
    problems = []
    if text.startswith("\ufeff"):
        problems.append(Problem(BYTE_ORDER_MARK, path, "begins with a byte order mark"))
        text = text.removeprefix("\ufeff")
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    filled = [line for line in lines if line]
    if not filled:
        problems.append(Problem(EMPTY_CAPTION, path, "is empty"))
    elif not lines[0]:
        problems.append(Problem(EMPTY_FIRST_LINE, path, "begins with an empty line"))
    elif len(filled) > 1:
        problems.append(Problem(MORE_LINES, path, f"has {len(filled)} lines of text"))
    return lines[0] or None, problems


def check_names(subset: Subset, images: Collection[str], names: Collection[str]) -> Iterator[Problem]:
    """Tell of images without caption, and of captions without image, among the file `names` of a folder."""
    taken: set[str] = set()
    for image in images:
        caption = caption_name(image, subset.caption_extension, names)
        if caption is not None:
            taken.add(caption)
        elif not subset.class_tokens:
            near = _nearest(image, names)
            taken |= near
            hint = f", but there is {shown(Path(min(near)))}" if near else ""
            kind = MISSING_REG_CAPTION if subset.is_reg else MISSING_CAPTION
            wanted = shown(Path(PurePath(image).stem + subset.caption_extension))
            yield Problem(kind, subset.path / image, f"has no caption {wanted}{hint}")
    for name in sorted(names):
        if name.endswith(subset.caption_extension) and name not in taken:
            yield Problem(CAPTION_WITHOUT_IMAGE, subset.path / name, "is the caption of no image")


def _nearest(image: str, names: Collection[str]) -> set[str]:
    """Return files that were perhaps meant as the caption of `image`: of another case, extension or stem."""
    meant = {stem + extension for stem in (PurePath(image).stem, image) for extension in _EXTENSIONS}
    folded = {name.casefold() for name in meant}
    return {name for name in names if name.casefold() in folded}
