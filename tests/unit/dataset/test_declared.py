"""A job's dataset as it is declared or as its folder lies: subsets, repeats, and who said them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dataset_files import Content, make, photo
from unit_models import train_job

from components.dataset.declared import Declared, declared


def captioned(*names: str) -> dict[str, Content]:
    """Return images and their captions."""
    images: dict[str, Content] = {f"{name}.jpg": photo(sum(name.encode())) for name in names}
    return {**images, **{f"{name}.txt": f"a photo of {name}" for name in names}}


def read(folder: Path, files: dict[str, Content], **said: Any) -> Declared:
    make(folder / "data", files)
    return declared(train_job(dataset={"path": str(folder / "data"), **said}))


def brief(found: Declared) -> list[tuple[str, int, str, bool]]:
    return [(each.folder, each.repeats, each.class_tokens, each.regularisation) for each in found.subsets]


def test_a_folder_of_images_is_one_subset_whose_repeats_are_free(tmp_path: Path) -> None:
    found = read(tmp_path, captioned("a", "b"))

    assert brief(found) == [(".", 1, "", False)]
    assert (found.free, found.count, found.root) == (True, 2, tmp_path / "data")


def test_repeats_of_the_job_are_those_of_the_folder(tmp_path: Path) -> None:
    found = read(tmp_path, captioned("a"), repeats=7, class_tokens="cat")

    assert brief(found) == [(".", 7, "cat", False)]
    assert not found.free


@pytest.mark.parametrize("said", [{}, {"repeats": 7}], ids=str)
def test_numbered_folders_say_their_repeats_and_class_tokens(tmp_path: Path, said: dict[str, Any]) -> None:
    found = read(tmp_path, captioned("3_cat/a", "10_big dog/b"), **said)

    assert brief(found) == [("10_big dog", 10, "big dog", False), ("3_cat", 3, "cat", False)]
    assert (found.free, found.count) == (False, 2)


def test_regularisation_images_are_neither_counted_nor_repeated_by_the_job(tmp_path: Path) -> None:
    found = read(tmp_path, captioned("images/a", "reg_images/b", "reg_images/c"), repeats=5)

    assert brief(found) == [("images", 5, "", False), ("reg_images", 1, "", True)]
    assert found.count == 1


def test_images_in_the_folder_of_the_guide_leave_their_repeats_free(tmp_path: Path) -> None:
    found = read(tmp_path, captioned("images/a", "reg_images/b"))

    assert (found.free, found.count) == (True, 1)


def test_declared_subsets_are_taken_as_they_are(tmp_path: Path) -> None:
    subsets = [{"folder": "10_cat", "repeats": 2}, {"folder": "dogs/", "class_tokens": "dog"}]
    found = read(tmp_path, captioned("10_cat/a", "dogs/b", "other/c"), subsets=subsets, flip_aug=True)

    assert brief(found) == [("10_cat", 2, "", False), ("dogs/", 1, "dog", False)]
    assert (found.free, found.count) == (False, 2)
    assert all(subset.flip_aug for subset in found.subsets)


def test_the_way_captions_are_read_holds_for_every_subset_found(tmp_path: Path) -> None:
    files = {"1_cat/a.jpg": photo(1), "1_cat/a.caption": "a cat"}
    found = read(tmp_path, files, caption_extension=".caption", shuffle_caption=True, keep_tokens=2)
    [subset] = found.subsets

    assert (subset.caption_extension, subset.shuffle_caption, subset.keep_tokens) == (".caption", True, 2)
    assert found.report is not None
    assert found.report.errors == []


def test_the_images_found_are_read_with_other_repeats(tmp_path: Path) -> None:
    found = read(tmp_path, captioned("a", "b"))
    more = tuple(subset.model_copy(update={"repeats": 9}) for subset in found.subsets)
    [subset] = found.read(more)

    assert (subset.repeats, len(subset.images)) == (9, 2)


@pytest.mark.parametrize(
    ("files", "said", "says"),
    [
        ({}, {}, "holds no images"),
        ({"a.jpg": photo(1)}, {}, "has no caption a.txt"),
        ({"cats/a.jpg": photo(1), "cats/a.txt": "a cat"}, {}, "'cats' is no number of repeats"),
        (captioned("cats/a"), {"subsets": [{"folder": "dogs"}]}, "no such folder"),
        (
            captioned("reg/a"),
            {"subsets": [{"folder": "cats"}, {"folder": "reg", "regularisation": True}]},
            "cats",
        ),
    ],
    ids=["empty", "uncaptioned", "unnumbered", "missing", "missing-among-others"],
)
def test_what_is_wrong_with_the_folder_is_in_the_report(
    tmp_path: Path, files: dict[str, Content], said: dict[str, Any], says: str
) -> None:
    found = read(tmp_path, files, **said)

    assert found.report is not None
    assert says in str(found.report.errors[0])


def test_class_tokens_stand_in_for_missing_captions(tmp_path: Path) -> None:
    found = read(tmp_path, {"a.jpg": photo(1)}, class_tokens="a cat")

    assert found.report is not None
    assert found.report.errors == []


@pytest.mark.parametrize(
    ("said", "free"), [({}, True), ({"repeats": 3}, False), ({"subsets": [{"folder": "a"}]}, False)]
)
def test_of_a_dataset_that_the_node_fetches_nothing_is_known_but_what_is_said(
    said: dict[str, Any], free: bool
) -> None:
    archive = {"url": "https://example.org/a.zip"}
    found = declared(train_job(dataset={"archive": archive, **said}))

    assert (found.free, found.count, found.report, found.root) == (free, None, None, None)
    assert found.read(found.subsets) == []
    assert found.subsets[0].repeats == said.get("repeats", 1)


def test_a_folder_in_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make(tmp_path / "data", captioned("a"))

    assert declared(train_job(dataset={"path": "~/data"})).count == 1
