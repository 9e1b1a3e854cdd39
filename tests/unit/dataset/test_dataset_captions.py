"""Captions, against sd-scripts' own reading of them: text mode, UTF-8, the first line stripped."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.dataset.captions import caption_name, read
from components.dataset.problems import EMPTY_CAPTION, EMPTY_FIRST_LINE, UNREADABLE_FILE


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captions") / "a.txt"


@given(st.text(st.sampled_from("ab ,\n\r\t\x0b\x1c\u2028é😀"), max_size=12))
def test_a_caption_is_the_line_that_sd_scripts_reads(file: Path, text: str) -> None:
    file.write_bytes(text.encode())

    caption, problems = read(file)

    with file.open(encoding="utf-8") as lines:
        first = next(iter(lines), "").strip()
    assert caption == (first or None)
    assert (caption is None) == any(each.kind in (EMPTY_CAPTION, EMPTY_FIRST_LINE) for each in problems)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_caption_or_a_problem(file: Path, data: bytes) -> None:
    file.write_bytes(data)

    caption, problems = read(file)

    assert caption or problems


def test_a_caption_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    caption, problems = read(tmp_path)

    assert caption is None
    assert [(each.kind, each.what) for each in problems] == [
        (UNREADABLE_FILE, "cannot be read: Is a directory")
    ]


@pytest.mark.parametrize(
    ("image", "names", "caption"),
    [
        ("a.png", {"a.txt"}, "a.txt"),
        ("a.b.png", {"a.txt", "a.b.txt"}, "a.b.txt"),
        ("a.png", {"a.caption", "a.TXT", "b.txt"}, None),
        ("face_1_2_3_4.png", {"face.txt"}, "face.txt"),
        ("face_1_2_3_4.png", {"face.txt", "face_1_2_3_4.txt"}, "face_1_2_3_4.txt"),
        ("my_face_1_2_3_4.png", {"my_face.txt"}, "my_face.txt"),
        ("face_1_2_3.png", {"face.txt"}, None),
    ],
)
def test_a_caption_has_the_stem_of_its_image_or_that_without_a_face(
    image: str, names: set[str], caption: str | None
) -> None:
    assert caption_name(image, ".txt", names) == caption
