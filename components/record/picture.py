"""An image made small enough to lie inside a page."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageOps

SIDE: Final = 512
_QUALITY: Final = 82


@dataclass(frozen=True)
class Picture:
    """An image as a page holds it.

    Attributes:
        uri: itself as a `data:` URI.
        width: pixels.
        height: pixels.
    """

    uri: str
    width: int
    height: int


def shrink(content: bytes) -> Picture | None:
    """Return an image file's content with no side above 512 pixels; None where it is no whole image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
            image.thumbnail((SIDE, SIDE))
            image = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY)
    return Picture(f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}", *image.size)
