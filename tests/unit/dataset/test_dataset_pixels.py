"""Image files that are damaged, hostile or odd: each is an image or a problem, never a traceback."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from dataset_files import encoded, picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from components.dataset.images import Image
from components.dataset.pixels import patient, read
from components.dataset.problems import Problem

SMALL = picture(1, (90, 60))
EXIF = Pillow.Exif()
EXIF[0x0112] = 6
FILES = {
    "baseline.jpg": encoded(SMALL, "JPEG", exif=EXIF),
    "progressive.jpg": encoded(SMALL, "JPEG", progressive=True),
    "cmyk.jpg": encoded(SMALL.convert("CMYK"), "JPEG"),
    "plain.png": encoded(SMALL, exif=EXIF),
    "palette.png": encoded(SMALL.convert("P"), transparency=0),
    "deep.png": encoded(SMALL.convert("I;16")),
    "animated.png": encoded(SMALL, save_all=True, append_images=[picture(2, (90, 60))]),
    "lossy.webp": encoded(SMALL, "WEBP"),
    "animated.webp": encoded(SMALL, "WEBP", save_all=True, append_images=[picture(2, (90, 60))]),
    "plain.bmp": encoded(SMALL, "BMP"),
    "two.jpg": encoded(SMALL, "MPO", save_all=True, append_images=[SMALL]),
}


def as_sd_scripts_reads(data: bytes) -> tuple[int, int] | None:
    """Return the size of the array that sd-scripts makes of a file, or None where it would stop."""
    try:
        with Pillow.open(io.BytesIO(data)) as image:
            return image.convert("RGB").size
    except Exception:  # noqa: BLE001 - whatever it is, training stops
        return None


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    with patient():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pixels") / "image"


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_whole_exactly_where_sd_scripts_can_decode_it(file: Path, name: str) -> None:
    """Cut off at 60 places from its first byte to its last."""
    data = FILES[name]
    for length in sorted({round(part * len(data) / 60) for part in range(61)} | {len(data) - 1}):
        file.write_bytes(data[:length])

        found = read(file)

        size = as_sd_scripts_reads(data[:length])
        assert (found.size if isinstance(found, Image) else None) == size, length


@given(st.sampled_from(sorted(FILES)), st.data())
def test_damage_anywhere_is_an_image_or_a_problem(file: Path, name: str, data: st.DataObject) -> None:
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)

    found = read(file)

    size = as_sd_scripts_reads(bytes(content))
    assert (found.size if isinstance(found, Image) else None) == size


@given(st.binary(max_size=64))
def test_what_is_no_image_is_a_problem(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    assert isinstance(read(file), Problem)


@pytest.mark.parametrize(
    ("name", "kind", "mode", "orientation", "frames"),
    [
        ("baseline.jpg", "JPEG", "RGB", 6, 1),
        ("progressive.jpg", "JPEG", "RGB", 1, 1),
        ("cmyk.jpg", "JPEG", "CMYK", 1, 1),
        ("plain.png", "PNG", "RGB", 6, 1),
        ("palette.png", "PNG", "P", 1, 1),
        ("deep.png", "PNG", "I;16", 1, 1),
        ("animated.png", "PNG", "RGB", 1, 2),
        ("animated.webp", "WEBP", "RGB", 1, 2),
        ("two.jpg", "MPO", "RGB", 1, 1),
    ],
)
def test_the_facts_of_an_image_are_read(
    file: Path, name: str, kind: str, mode: str, orientation: int, frames: int
) -> None:
    file.write_bytes(FILES[name])

    found = read(file)

    assert isinstance(found, Image)
    assert (found.format, found.mode, found.orientation, found.frames) == (kind, mode, orientation, frames)
    assert (found.width, found.height) == (90, 60)


@pytest.mark.parametrize(("colour", "transparent"), [((9, 9, 9, 255), False), ((9, 9, 9, 254), True)])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_is_what_has_one_pixel_that_is_not_opaque(
    file: Path, colour: tuple[int, ...], *, mode: str, transparent: bool
) -> None:
    image = Pillow.new("RGBA", (8, 8), (9, 9, 9, 255))
    image.putpixel((3, 4), colour)
    file.write_bytes(encoded(image.convert(mode)))

    found = read(file)

    assert isinstance(found, Image)
    assert found.transparent is transparent


@pytest.mark.parametrize(("index", "transparent"), [(0, True), (255, False)])
def test_a_palette_is_transparent_if_a_pixel_has_its_transparent_colour(
    file: Path, index: int, *, transparent: bool
) -> None:
    image = Pillow.new("P", (8, 8), 0)
    image.putpalette([value for level in range(256) for value in (level, level, level)])
    file.write_bytes(encoded(image, transparency=index, bits=8, optimize=False))

    found = read(file)

    assert isinstance(found, Image)
    assert found.transparent is transparent
