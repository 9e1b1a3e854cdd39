"""What a dataset is made of: subsets of images. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""

_SPELLED: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SUFFIXES: Final = (*_SPELLED, *(suffix.upper() for suffix in _SPELLED))
"""Images that sd-scripts reads: all in lower or all in upper case."""


@dataclass(frozen=True)
class Image:
    """One image that was decoded to its end.

    Attributes:
        path: of the file.
        width: pixels as stored, which is what sd-scripts trains on: it ignores EXIF orientation.
        height: pixels as stored.
        format: Pillow's name of what the file holds, whatever its suffix says, such as JPEG.
        mode: Pillow's pixel mode, such as RGB.
        orientation: EXIF's, from 1 (upright) to 8.
        frames: 1 unless it is animated.
        transparent: whether any pixel is not opaque.
        thumbnail: 9 by 8 RGB pixels, to find images that look alike.
        caption: the first line of its caption file, or None where there is none.
    """

    path: Path
    width: int
    height: int
    format: str = "PNG"
    mode: str = "RGB"
    orientation: int = 1
    frames: int = 1
    transparent: bool = False
    thumbnail: bytes = b""
    caption: str | None = None

    @property
    def size(self) -> Size:
        """Width and height as stored."""
        return self.width, self.height


@dataclass(frozen=True)
class Subset:
    """One folder of images, as a job or a folder's name declares it.

    Attributes:
        path: the folder; its subfolders are not looked into.
        repeats: how often an epoch sees each image.
        class_tokens: the caption of images that have none; empty for none.
        is_reg: whether these are regularisation images.
        caption_extension: of the file beside an image that holds its caption.
        images: what was found; empty until the folder was read.
    """

    path: Path
    repeats: int = 1
    class_tokens: str = ""
    is_reg: bool = False
    caption_extension: str = ".txt"
    images: tuple[Image, ...] = ()
