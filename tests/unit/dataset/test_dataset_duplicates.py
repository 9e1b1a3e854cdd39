"""Images that are there twice, against comparing every one with every other."""

from __future__ import annotations

from pathlib import Path

from dataset_files import encoded, make, messages, picture, report
from hypothesis import given
from hypothesis import strategies as st

from components.dataset.duplicates import find, fingerprint
from components.dataset.images import Image

CELLS = 9 * 8 * 3


def grey(levels: list[int]) -> bytes:
    return bytes(level for level in levels for _ in range(3))


def test_each_bit_says_whether_a_cell_is_darker_than_the_next() -> None:
    rows = [[0, 9, 9, 9, 9, 9, 9, 9, 9]] + [[9] * 9] * 6 + [[9, 9, 9, 9, 9, 9, 9, 8, 9]]

    assert fingerprint(grey([level for row in rows for level in row])) == 1 << 63 | 1


def test_pictures_of_one_colour_are_not_alike_if_the_colours_are_not(tmp_path: Path) -> None:
    """Their hashes are all the same: nothing is darker than anything."""
    files = {
        f"{level}.png": encoded(picture(1).point(lambda _, level=level: level)) for level in (0, 90, 180)
    }

    assert report(make(tmp_path / "data", files), class_tokens="x").problems == ()


def test_copies_in_other_folders_are_told_with_their_path(tmp_path: Path) -> None:
    image = encoded(picture(1))
    folder = make(tmp_path / "data", {"1_a/x.png": image, "1_b/y.png": image, "1_b/z.png": image})

    assert [message.split(";")[0] for message in messages(report(folder), folder)] == [
        "warning: DIR/1_b/y.png: is the same file as DIR/1_a/x.png",
        "warning: DIR/1_b/z.png: is the same file as DIR/1_a/x.png",
    ]


def test_files_of_one_size_are_not_the_same_for_that(tmp_path: Path) -> None:
    first = encoded(picture(1), "BMP")
    folder = make(tmp_path / "data", {"a.bmp": first, "b.bmp": encoded(picture(2), "BMP")})

    assert report(folder, class_tokens="x").problems == ()


@st.composite
def thumbnails(draw: st.DrawFn) -> list[bytes]:
    """Draw pictures, and others that differ from them in a few cells."""
    found = draw(st.lists(st.binary(min_size=CELLS, max_size=CELLS), min_size=1, max_size=4))
    for _ in range(draw(st.integers(0, 8))):
        copy = bytearray(draw(st.sampled_from(found)))
        for _ in range(draw(st.integers(0, 6))):
            copy[draw(st.integers(0, CELLS - 1))] = draw(st.integers(0, 255))
        found.append(bytes(copy))
    return found


@given(thumbnails())
def test_alike_is_what_differs_in_three_bits_and_little_colour(pictures: list[bytes]) -> None:
    here = Path(__file__)
    # Images of different sizes are never read to compare their bytes.
    images = [Image(here, 1, index, thumbnail=each) for index, each in enumerate(pictures)]

    expected = []
    for index, image in enumerate(images):
        for earlier in images[:index]:
            one, other = image.thumbnail, earlier.thumbnail
            bits = (fingerprint(one) ^ fingerprint(other)).bit_count()
            colour = sum(abs(a - b) for a, b in zip(one, other, strict=True)) / CELLS
            if bits <= 3 and colour <= 10:
                expected.append("looks like test_dataset_duplicates.py")
                break
    assert [problem.what for problem in find(images)] == expected
