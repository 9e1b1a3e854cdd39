"""The check as a whole: subsets in, subsets with images and problems out."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_files import encoded, make, messages, photo, picture, report
from PIL import Image

from components.dataset.buckets import Buckets
from components.dataset.check import check
from components.dataset.images import Subset
from components.dataset.problems import listed
from components.dataset.steps import estimate


def test_images_carry_what_was_found_in_them(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "data",
        {"a.jpg": photo(1, (1200, 900)), "a.txt": " a cat \n", "b.PNG": photo(2, kind="PNG")},
    )

    (subset,) = report(folder, class_tokens="cat").subsets

    first, second = subset.images
    assert (first.path, first.size, first.format, first.mode) == (
        folder / "a.jpg",
        (1200, 900),
        "JPEG",
        "RGB",
    )
    assert (first.caption, first.orientation, first.frames, first.transparent) == ("a cat", 1, 1, False)
    assert (second.path, second.size, second.caption) == (folder / "b.PNG", (1024, 1024), None)


def test_images_come_in_the_order_of_sd_scripts(tmp_path: Path) -> None:
    names = ["b.png", "B.PNG", "a b.webp", "a.bmp", "ä.jpeg", "a_.jpg"]
    folder = make(tmp_path / "data", {name: photo(index, (600, 600)) for index, name in enumerate(names)})

    (subset,) = report(folder).subsets

    assert [image.path.name for image in subset.images] == sorted(names)


def test_a_folder_named_by_two_subsets_is_read_once(tmp_path: Path) -> None:
    folder = make(tmp_path / "data", {"a.png": photo(kind="PNG"), "a.txt": "a cat"})
    (tmp_path / "link").symlink_to(folder)

    found = check([Subset(folder, 2), Subset(tmp_path / "link", 3)], Buckets())

    assert [(subset.path, len(subset.images)) for subset in found.subsets] == [(folder, 1)]
    (message,) = messages(found, tmp_path)
    assert message == (
        "error: DIR/link: is named by two subsets; "
        "name it once and give it more repeats: sd-scripts takes only the first"
    )


def test_a_missing_subset_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    folder = make(tmp_path / "data", {"a.png": photo(kind="PNG"), "a.txt": "a cat"})

    found = check([Subset(tmp_path / "gone"), Subset(folder)], Buckets())

    assert [subset.path for subset in found.subsets] == [folder]
    assert messages(found, tmp_path) == [
        "error: DIR/gone: no such folder; name the folder that holds the images; unpack an archive first"
    ]


def test_a_subset_inside_another_is_no_surprise(tmp_path: Path) -> None:
    files = {"a.png": photo(1), "a.txt": "a cat", "more/b/c.png": photo(2), "more/b/c.txt": "a dog"}
    folder = make(tmp_path / "data", files)

    assert check([Subset(folder), Subset(folder / "more/b")], Buckets()).problems == ()


def test_class_tokens_stand_in_for_captions(tmp_path: Path) -> None:
    folder = make(tmp_path / "data", {"a.png": photo(1)})

    assert report(folder, class_tokens="cat").problems == ()


def test_captions_have_the_extension_that_is_asked_for(tmp_path: Path) -> None:
    folder = make(tmp_path / "data", {"a.png": photo(1), "a.caption": "a cat"})

    assert report(folder, caption_extension=".caption").problems == ()
    assert [problem.kind.name for problem in report(folder).problems] == ["missing-caption"]


def test_small_images_are_no_problem_where_nothing_is_enlarged(tmp_path: Path) -> None:
    files = {"a.png": photo(1, (200, 200)), "b.png": photo(2, (500, 300)), "c.png": photo(3, (63, 900))}
    folder = make(tmp_path / "data", files)

    found = report(folder, Buckets(no_upscale=True), class_tokens="cat")

    (message,) = messages(found, folder)
    assert message == (
        "error: DIR/c.png: of 63x900 pixels fits no bucket; "
        "enlarge it, or let buckets upscale: sd-scripts would stop at it"
    )
    assert estimate(found.subsets, Buckets(no_upscale=True), batch_size=1, epochs=1).buckets == (
        ((192, 192), 1),
        ((448, 256), 1),
    )


@pytest.mark.parametrize("resolution", [512, 1024])
def test_what_is_small_depends_on_the_resolution(tmp_path: Path, resolution: int) -> None:
    folder = make(tmp_path / "data", {"a.png": photo(1, (400, 400))})

    found = report(folder, Buckets((resolution, resolution)), class_tokens="cat")

    assert [problem.kind.name for problem in found.problems] == (
        ["enlarged-image"] if resolution == 1024 else []
    )


def test_large_images_do_not_frighten_pillow(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    folder = make(tmp_path / "data", {"a.png": encoded(Image.new("1", (10_000, 9_000)))})

    report(folder, class_tokens="cat")

    assert not recwarn.list


def test_modes_that_lose_nothing_are_no_problem(tmp_path: Path) -> None:
    opaque = picture(4).convert("RGBA")
    files = {
        "grey.png": encoded(picture(1, mode="L")),
        "palette.png": encoded(picture(2, mode="P")),
        "bits.png": encoded(picture(3, mode="1")),
        "opaque.png": encoded(opaque),
        "grey-opaque.png": encoded(picture(5).convert("LA")),
        "progressive.jpg": encoded(picture(6), "JPEG", progressive=True),
        "lossless.webp": encoded(picture(7), "WEBP", lossless=True),
        "plain.bmp": encoded(picture(8), "BMP"),
    }

    assert messages(report(make(tmp_path / "data", files), class_tokens="cat"), tmp_path) == []


def test_lists_are_cut_short() -> None:
    assert [listed(list("abcde"[:count])) for count in range(1, 6)] == [
        "a",
        "a and b",
        "a, b and c",
        "a, b, c and 1 more",
        "a, b, c and 2 more",
    ]
