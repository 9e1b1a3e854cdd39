"""Images on disk: kept as PNG without metadata, given out in the format asked for, removed in time."""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from io import BytesIO
from typing import TYPE_CHECKING, Final

from PIL import Image as Picture
from PIL import ImageOps

from gateway.errors import Expired, InvalidParameter, UnsupportedMediaType
from gateway.store import Image, Store

if TYPE_CHECKING:
    from pathlib import Path

FORMATS: Final = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
"""What images are given out as, and taken as."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PIXEL_CHUNKS: Final = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_QUALITY: Final = 92
_DECODINGS: Final = 2
"""At once: each holds a whole image in memory."""

_MAX_PIXELS: Final = 24_000_000
"""As a PNG, even noise of so many is within the 100 MiB that ComfyUI takes."""


class Images:
    """The images of one gateway.

    Args:
        name: of the gateway; the ids of its images begin with it, so that a balancer finds their way back.
        folder: for the files; those that the store does not know are removed from it.
        store: knows whose they are.
        seconds: how long an image is kept.
        size: bytes of images that are kept; the oldest go first.
    """

    def __init__(self, name: str, folder: Path, store: Store, seconds: float, size: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._name, self._folder, self._store = name, folder, store
        self._seconds, self._size = seconds, size
        self._decoding = asyncio.Semaphore(_DECODINGS)
        known = store.image_ids()
        for path in folder.iterdir():
            if path.stem not in known:
                path.unlink()

    async def keep(self, owner: str, job: str, data: bytes, seed: int | None) -> Image:
        """Write an image of a job, a PNG, and return what the store is to know of it."""
        return await asyncio.to_thread(self._write, owner, job, stripped(data), seed)

    async def upload(self, owner: str, data: bytes) -> Image:
        """Keep an image that a client sent.

        Raises:
            UnsupportedMediaType: it is no PNG, JPEG or WebP, or not whole.
            InvalidParameter: it has too many pixels.
        """
        async with self._decoding:
            image = await asyncio.to_thread(lambda: self._write(owner, None, _png(data), None))
        self._store.add_image(image)
        return image

    async def read(self, image: Image, mime: str) -> bytes:
        """Return the image in a format of `FORMATS`.

        Raises:
            Expired: it was removed.
        """
        try:
            data = await asyncio.to_thread(self._path(image).read_bytes)
        except FileNotFoundError:
            raise Expired("the image was removed: images are kept for a limited time and size") from None
        if mime == "image/png":
            return data
        async with self._decoding:
            return await asyncio.to_thread(_converted, data, FORMATS[mime])

    def retire(self) -> None:
        """Remove the images that are too old or too many."""
        for image in self._store.outdated(self._seconds, self._size):
            self._path(image).unlink(missing_ok=True)
            self._store.expire(image)

    def _write(self, owner: str, job: str | None, data: bytes, seed: int | None) -> Image:
        width, height = struct.unpack(">II", data[16:24])
        image = Image(
            f"{self._name}-{secrets.token_hex(16)}", owner, job, width, height, len(data), seed, time.time()
        )
        path = self._path(image)
        path.with_suffix(".part").write_bytes(data)
        path.with_suffix(".part").replace(path)
        return image

    def _path(self, image: Image) -> Path:
        return self._folder / f"{image.id}.png"


def is_png(data: bytes) -> bool:
    """Return whether it looks like a PNG."""
    return data.startswith(_SIGNATURE)


def stripped(data: bytes) -> bytes:
    """Return a PNG without any chunk that is not needed to draw it, such as ComfyUI's workflow."""
    parts, at = [_SIGNATURE], len(_SIGNATURE)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] in _PIXEL_CHUNKS:
            parts.append(data[at:end])
        at = end
    return b"".join(parts)


def _png(data: bytes) -> bytes:
    """Return any image as a plain PNG, turned as its metadata says."""
    picture, size = None, "far too many"
    try:
        with Picture.open(BytesIO(data), formats=list(FORMATS.values())) as opened:
            size = f"{opened.width}x{opened.height}"
            if opened.width * opened.height <= _MAX_PIXELS:
                picture = ImageOps.exif_transpose(opened)
                alpha = "A" in picture.getbands() or "transparency" in picture.info
                picture = picture.convert("RGBA" if alpha else "RGB")
    except Picture.DecompressionBombError:
        pass
    except Exception as error:  # of what is broken, Pillow raises whatever happens
        raise UnsupportedMediaType("the body must be a whole PNG, JPEG or WebP image") from error
    if picture is None:
        raise InvalidParameter(
            f"the image has {size} pixels: make it smaller, {_MAX_PIXELS:,} are the most",
            field="image",
        )
    out = BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return stripped(out.getvalue())


def _converted(data: bytes, form: str) -> bytes:
    out = BytesIO()
    with Picture.open(BytesIO(data)) as picture:
        picture.convert("RGB").save(out, form, quality=_QUALITY)
    return out.getvalue()
