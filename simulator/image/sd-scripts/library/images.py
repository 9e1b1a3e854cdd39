"""Image files by their first bytes: size in pixels, and whether the file is whole. No pixel is decoded."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".PNG", ".JPG", ".JPEG", ".WEBP", ".BMP")

Size = tuple[int, int]


def size(path: Path) -> Size | None:
    """Return width and height, or None where the file is no image that the trainer can read."""
    with path.open("rb") as file:
        head = file.read(32)
        for mark, read in _READERS:
            if head.startswith(mark):
                try:
                    return read(head, file)
                except (struct.error, IndexError):
                    return None
    return None


def is_whole(path: Path) -> bool:
    """Return whether the file ends as its format ends."""
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0, 2)
        length = file.tell()
        file.seek(max(0, length - 64))
        tail = file.read()
    if head.startswith(b"\x89PNG"):
        return b"IEND" in tail
    if head.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in tail
    if head.startswith(b"RIFF"):
        return bool(length >= struct.unpack("<I", head[4:8])[0] + 8)
    if head.startswith(b"BM"):
        return bool(length >= struct.unpack("<I", head[2:6])[0])
    return True


def _png(head: bytes, _: BinaryIO) -> Size:
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _bmp(head: bytes, _: BinaryIO) -> Size:
    width, height = struct.unpack("<ii", head[18:26])
    return width, abs(height)


def _webp(head: bytes, _: BinaryIO) -> Size:
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(_: bytes, file: BinaryIO) -> Size:
    file.seek(2)
    while True:
        byte = file.read(1)
        while byte == b"\xff":
            byte = file.read(1)
        kind = byte[0]
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= kind <= 0xCF and kind not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        file.seek(length - 2 + 1, 1)


_READERS: tuple[tuple[bytes, Callable[[bytes, BinaryIO], Size]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8", _jpeg),
    (b"RIFF", _webp),
    (b"BM", _bmp),
)
