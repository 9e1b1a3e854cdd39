"""Folders of images for tests: each picture differs from all others."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from components.dataset.buckets import Buckets
from components.dataset.check import Report, check
from components.dataset.layout import discover

Content: TypeAlias = str | bytes | Callable[[], bytes] | Path | None
"""Text of a caption, bytes of an image or what makes them, the target of a link, or None for a folder."""


def picture(seed: int = 1, size: tuple[int, int] = (1024, 1024), mode: str = "RGB") -> Image.Image:
    """Return a picture of soft colours that looks like that of no other seed."""
    cells = random.Random(seed).randbytes(9 * 8 * 3)
    return Image.frombytes("RGB", (9, 8), cells).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(seed: int = 1, size: tuple[int, int] = (1024, 1024), kind: str = "JPEG", **options: Any) -> bytes:
    """Return the bytes of an image file of no special kind."""
    return encoded(picture(seed, size), kind, **options)


def make(folder: Path, files: Mapping[str, Content]) -> Path:
    """Fill `folder` with files by their relative paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        elif isinstance(content, Path):
            path.symlink_to(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        else:
            path.write_bytes(content() if callable(content) else content)
    return folder


def report(folder: Path, buckets: Buckets | None = None, **options: Any) -> Report:
    """Return what a check of all in `folder` finds."""
    layout = discover(folder, **options)
    return check(layout.subsets, buckets or Buckets(), layout.problems)


def messages(found: Report, folder: Path) -> list[str]:
    """Return each problem in words, with its severity, and DIR for `folder`."""
    return [
        f"{problem.kind.severity}: {problem}".replace(str(folder), "DIR").replace(
            ascii(str(folder))[1:-1], "DIR"
        )
        for problem in found.problems
    ]
