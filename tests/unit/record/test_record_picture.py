"""Images made small, whatever they are."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from records import image

from components.record.picture import shrink


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("size", "small"), [((1024, 768), (512, 384)), ((1, 2000), (1, 512)), ((64, 64), (64, 64))]
)
def test_an_image_fits_in_512_pixels(kind: str, size: tuple[int, int], small: tuple[int, int]) -> None:
    picture = shrink(image(*size, kind))
    assert picture is not None
    head, _, data = picture.uri.partition(",")
    assert head == "data:image/webp;base64"
    shown = Image.open(io.BytesIO(base64.b64decode(data)))
    assert shown.size == (picture.width, picture.height) == small


@given(st.integers(0, 399))
def test_a_file_that_is_cut_off_is_no_image(cut: int) -> None:
    assert shrink(image()[:cut]) is None


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_small_file_that_would_fill_the_memory_is_not_unpacked(side: int) -> None:
    head = struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side + 1) * side)) if side < 20_000 else b""
    chunks = ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    assert shrink(bomb) is None
