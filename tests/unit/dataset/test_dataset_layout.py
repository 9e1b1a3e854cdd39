"""Which subsets a folder holds: by its shape, and by the names of its folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_files import Content, make
from hypothesis import given
from hypothesis import strategies as st

from components.dataset.images import Subset
from components.dataset.layout import Layout, discover
from components.dataset.problems import NO_FOLDER


def found(folder: Path, *images: str) -> list[tuple[str, int, str, bool]]:
    """Return path, repeats, class tokens and kind of the subsets of a folder with these (empty) images."""
    files: dict[str, Content] = dict.fromkeys(images, b"")
    layout = discover(make(folder / "data", files))
    assert layout.problems == ()
    return [
        (
            subset.path.relative_to(folder / "data").as_posix(),
            subset.repeats,
            subset.class_tokens,
            subset.is_reg,
        )
        for subset in layout.subsets
    ]


def test_a_folder_of_images_is_one_subset(tmp_path: Path) -> None:
    assert found(tmp_path, "a.png", "b.JPG") == [(".", 1, "", False)]


def test_an_empty_folder_is_one_subset_too(tmp_path: Path) -> None:
    assert found(tmp_path) == [(".", 1, "", False)]


def test_numbered_folders_are_subsets_with_repeats_and_class_tokens(tmp_path: Path) -> None:
    assert found(tmp_path, "10_cat/a.png", "5_big red dog/b.png", "3/c.png", "2_a_b_/d.png") == [
        ("10_cat", 10, "cat", False),
        ("2_a_b_", 2, "a_b_", False),
        ("3", 3, "", False),
        ("5_big red dog", 5, "big red dog", False),
    ]


def test_the_folders_of_the_guide_are_found(tmp_path: Path) -> None:
    assert found(tmp_path, "images/a.png", "reg_images/b.png") == [
        ("images", 1, "", False),
        ("reg_images", 1, "", True),
    ]


def test_the_folders_of_the_gui_are_found(tmp_path: Path) -> None:
    assert found(tmp_path, "img/10_cat/a.png", "reg/1_cat/b.png", "log/x.txt", "model/y.txt") == [
        ("img/10_cat", 10, "cat", False),
        ("reg/1_cat", 1, "cat", True),
    ]


def test_regularisation_images_may_lie_beside_numbered_folders_or_in_a_folder_of_images(
    tmp_path: Path,
) -> None:
    assert found(tmp_path, "10_cat/a.png", "reg/b.png") == [
        ("10_cat", 10, "cat", False),
        ("reg", 1, "", True),
    ]
    assert found(tmp_path / "10_cat", "a.png", "reg_images/b.png")[1] == ("reg_images", 1, "", True)


def test_a_folder_named_images_is_nothing_special_beside_images(tmp_path: Path) -> None:
    assert found(tmp_path, "a.png", "images/b.png") == [(".", 1, "", False)]


def test_hidden_files_and_folders_do_not_count(tmp_path: Path) -> None:
    assert found(tmp_path, ".b/c.png", "10_cat/a.png", "._a.png") == [("10_cat", 10, "cat", False)]


def test_class_tokens_fill_those_that_a_name_does_not_give(tmp_path: Path) -> None:
    folder = make(tmp_path / "data", {"10_cat/a.png": b"", "3/b.png": b""})

    subsets = discover(folder, class_tokens="animal", caption_extension=".caption").subsets

    assert subsets == (
        Subset(folder / "10_cat", 10, "cat", caption_extension=".caption"),
        Subset(folder / "3", 3, "animal", caption_extension=".caption"),
    )


@pytest.mark.parametrize(("name", "what"), [("none", "no such folder"), ("a.zip", "is a file, not a folder")])
def test_what_is_no_folder_is_named(tmp_path: Path, name: str, what: str) -> None:
    make(tmp_path / "data", {"a.zip": b"PK"})

    layout = discover(tmp_path / "data" / name)

    assert layout.subsets == ()
    assert [(each.kind, each.what) for each in layout.problems] == [(NO_FOLDER, what)]


def test_a_relative_path_is_told_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    (problem,) = discover(Path("datasets/cat")).problems

    assert str(problem) == (
        f"datasets/cat: no such folder in {tmp_path}; "
        "name the folder that holds the images; unpack an archive first"
    )


@given(st.text(st.sampled_from("0123456789_-+ ab"), min_size=1, max_size=6))
def test_a_number_is_what_sd_scripts_takes_for_one(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    if name in (".", ".."):
        return
    folder = make(tmp_path_factory.mktemp("layout") / "data", {f"{name}/a.png": b""})

    layout = discover(folder)

    try:
        repeats = int(name.split("_", maxsplit=1)[0])
    except ValueError:
        repeats = 0
    expected = (Subset(folder / name, repeats, "_".join(name.split("_")[1:])),) if repeats > 0 else ()
    assert layout.subsets == expected
    assert bool(layout.problems) == (repeats < 1)


def test_a_layout_is_plain_data(tmp_path: Path) -> None:
    folder = make(tmp_path / "data", {"a.png": b""})

    assert discover(folder) == Layout((Subset(folder),), ())
