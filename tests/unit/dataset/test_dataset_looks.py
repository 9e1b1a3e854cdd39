"""Where the line lies between an image that is fine and one that is told of."""

from __future__ import annotations

from pathlib import Path

import pytest
from dataset_files import make, photo, report

from components.dataset.buckets import Buckets
from components.dataset.images import Image
from components.dataset.looks import check


def kinds(width: int, height: int, buckets: Buckets | None = None) -> list[str]:
    return [problem.kind.name for problem in check(Image(Path("a.png"), width, height), buckets or Buckets())]


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((8000, 5000), []),
        ((8001, 5000), ["huge-image"]),
        ((512, 512), []),
        ((511, 511), ["enlarged-image"]),
        ((256, 256), ["enlarged-image"]),
        ((255, 255), ["tiny-image"]),
        ((255, 1000), ["tiny-image"]),
        ((3072, 512), []),
        ((3080, 512), ["cropped-image"]),
        ((512, 3080), ["cropped-image"]),
        ((90_000, 600), ["huge-image", "cropped-image"]),
    ],
)
def test_size_is_measured_by_what_training_makes_of_it(size: tuple[int, int], told: list[str]) -> None:
    assert kinds(*size) == told


def test_a_small_image_is_fine_where_it_is_not_enlarged() -> None:
    assert kinds(200, 200, Buckets((256, 256), least=256)) == []
    assert kinds(200, 200, Buckets(no_upscale=True)) == []


@pytest.mark.parametrize(("length", "told"), [(236, []), (237, ["long-name"])])
def test_a_name_leaves_room_for_that_of_its_cached_latents(
    tmp_path: Path, length: int, told: list[str]
) -> None:
    folder = make(tmp_path / "data", {f"{'é' * (length // 2)}{'x' * (length % 2)}.png": photo()})

    found = report(folder, class_tokens="x")

    assert [problem.kind.name for problem in found.problems] == told
    cache = f"{'x' * length}_1024x1024_sdxl.npz"
    assert (len(cache) > 255) is bool(told)
