"""What is wrong with a dataset folder, told before anything is rented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.errors import SpecError
from components.kohya.dataset import inspect
from components.spec.train import Dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    add(folder, "a.png")
    return folder


def add(folder: Path, name: str, caption: str | bytes | None = "a cat", suffix: str = ".txt") -> None:
    image = folder / name
    image.write_bytes(b"image")
    if isinstance(caption, str):
        image.with_suffix(suffix).write_text(caption)
    elif caption is not None:
        image.with_suffix(suffix).write_bytes(caption)


def names(folder: Path, **settings: Any) -> tuple[str, ...]:
    return inspect(Dataset(path=str(folder), **settings), folder).names


def problem(folder: Path, **settings: Any) -> str:
    with pytest.raises(SpecError) as caught:
        names(folder, **settings)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".PNG", ".JPEG"])
def test_images_that_sd_scripts_reads_are_found(folder: Path, suffix: str) -> None:
    add(folder, f"b{suffix}")

    assert names(folder) == ("a.png", f"b{suffix}")


def test_other_files_hidden_files_and_subfolders_are_no_images(folder: Path) -> None:
    """A Mac leaves hidden companions of images; they are not sent either."""
    for name in ("notes.txt", "a.npz", "clip.gif", "._a.png", ".b.png"):
        (folder / name).touch()
    (folder / "more").mkdir()
    add(folder / "more", "c.png")

    assert names(folder) == ("a.png",)


def test_the_count_is_that_of_the_names(folder: Path) -> None:
    add(folder, "b.jpg")

    assert inspect(Dataset(path=str(folder)), folder).count == 2


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path / "no") == (
        f"dataset.path: no folder {tmp_path / 'no'}; it is relative to the folder of Pulumi.yaml"
    )


def test_a_file_is_no_folder(folder: Path) -> None:
    assert problem(folder / "a.png").startswith(f"dataset.path: no folder {folder / 'a.png'};")


def test_a_folder_without_images_is_named_with_what_counts_as_one(folder: Path) -> None:
    (folder / "a.png").unlink()

    assert problem(folder) == f"dataset.path: no images (.png, .jpg, .jpeg, .webp, .bmp) in {folder}"


def test_images_one_folder_deeper_are_pointed_out(folder: Path) -> None:
    (folder / "10_cat").mkdir()
    (folder / "a.png").rename(folder / "10_cat" / "a.png")

    assert problem(folder).endswith("; images are in its subfolders 10_cat: name one of them")


def test_an_image_without_a_caption_is_named_with_both_remedies(folder: Path) -> None:
    add(folder, "b.png", caption=None)

    assert problem(folder) == (
        f"{folder / 'b.png'}: has no caption b.txt; write one, or set dataset.class_tokens for all without"
    )


def test_class_tokens_stand_in_for_missing_captions(folder: Path) -> None:
    add(folder, "b.png", caption=None)

    assert names(folder, class_tokens="cat") == ("a.png", "b.png")


def test_captions_have_the_extension_that_the_job_says(folder: Path) -> None:
    assert "has no caption a.caption" in problem(folder, caption_extension=".caption")

    add(folder, "a.png", suffix=".caption")
    assert names(folder, caption_extension=".caption") == ("a.png",)


def test_a_dot_in_a_name_is_part_of_it(folder: Path) -> None:
    add(folder, "b.1.png")

    assert names(folder) == ("a.png", "b.1.png")


@pytest.mark.parametrize("caption", ["", " ", "\n", "\t\n \n"])
def test_an_empty_caption_is_named(folder: Path, caption: str) -> None:
    add(folder, "b.png", caption=caption)

    assert problem(folder, class_tokens="cat") == (
        f"{folder / 'b.txt'}: is empty; sd-scripts stops at an empty caption. Write one, or delete the file"
    )


def test_a_caption_below_an_empty_first_line_is_named(folder: Path) -> None:
    add(folder, "b.png", caption="\na cat\n")

    assert problem(folder) == (
        f"{folder / 'b.txt'}: has an empty first line, and sd-scripts reads no other; put the caption there"
    )


def test_a_caption_that_is_not_utf8_is_named(folder: Path) -> None:
    add(folder, "b.png", caption="café".encode("latin-1"))

    assert problem(folder) == f"{folder / 'b.txt'}: is not UTF-8; save it as UTF-8"


def test_a_suffix_that_sd_scripts_overlooks_is_named(folder: Path) -> None:
    add(folder, "b.Png")

    assert problem(folder) == f"{folder / 'b.Png'}: sd-scripts overlooks it; spell its suffix .png"


def test_each_problem_has_a_line_and_only_the_first_five_are_told(folder: Path) -> None:
    for number in range(7):
        add(folder, f"b{number}.png", caption=None)
    lines = problem(folder).splitlines()

    assert [line.startswith(f"{folder}/b{number}.png: ") for number, line in enumerate(lines[:5])] == [
        True
    ] * 5
    assert lines[5:] == ["and 2 more"]
