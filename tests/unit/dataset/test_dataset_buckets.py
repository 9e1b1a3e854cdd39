"""Buckets against what sd-scripts' own code answered, and against a search of all possible buckets."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.dataset.buckets import Buckets

ANSWERS = json.loads((Path(__file__).parent / "sd_scripts_buckets.json").read_text())
"""What `BucketManager` of kohya-ss/sd-scripts 48d368fa answered: its buckets, and for images width, height,
the bucket's width and height, and the size that it is scaled to before the cut; nothing where it failed.
"""


def buckets_of(answer: dict) -> Buckets:
    values = {key: answer[key] for key in ("enabled", "least", "most", "step", "no_upscale") if key in answer}
    return Buckets(tuple(answer["resolution"]), **values)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['resolution']} {answer.get('step')}")
def test_buckets_are_those_of_sd_scripts(answer: dict) -> None:
    if not answer.get("no_upscale"):
        assert buckets_of(answer).resolutions == [tuple(size) for size in answer["resolutions"]]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['resolution']} {answer.get('step')}")
def test_images_go_where_sd_scripts_puts_them(answer: dict) -> None:
    buckets = buckets_of(answer)
    for width, height, *answered in answer["images"]:
        place = buckets.place((width, height))
        if not answered or 0 in answered[:2]:  # it failed, or would at the first batch
            assert place is None
            continue
        bucket_width, bucket_height, scaled_width, scaled_height = answered
        assert place is not None
        assert place.bucket == (bucket_width, bucket_height)
        assert place.enlargement == pytest.approx(max(scaled_width / width, scaled_height / height), rel=0.02)
        area = scaled_width * scaled_height
        assert place.kept == pytest.approx(bucket_width * bucket_height / area, rel=0.02)


SIDES = st.integers(1, 6000)
STEPS = st.sampled_from([32, 64, 128])


@st.composite
def bucketings(draw: st.DrawFn) -> Buckets:
    step = draw(STEPS)
    resolution = draw(st.tuples(st.integers(256, 1536), st.integers(256, 1536)))
    least = draw(st.integers(step, min(resolution)))
    most = draw(st.integers(max(resolution), 3072))
    return Buckets(resolution, least=least, most=most, step=step)


@given(bucketings())
def test_every_bucket_is_the_largest_of_its_width_within_area_and_sides(buckets: Buckets) -> None:
    """By search over all multiples of the step, the square included whatever the sides may be."""
    area, step = math.prod(buckets.resolution), buckets.step
    sides = [n * step for n in range(buckets.least // step, -(-buckets.most // step) + 1)]
    tallest = {}
    for width in sides:
        fitting = [height for height in sides if width * height <= area]
        if fitting:
            tallest[width] = max(fitting)
    square = max(n * step for n in range(math.isqrt(area) // step + 1))
    expected = {(square, square), *tallest.items(), *((height, width) for width, height in tallest.items())}

    assert buckets.resolutions == sorted(expected)


@given(bucketings(), SIDES, SIDES)
def test_an_image_goes_to_the_bucket_of_the_nearest_aspect_ratio(
    buckets: Buckets, width: int, height: int
) -> None:
    place = buckets.place((width, height))

    assert place is not None
    ratio = Fraction(width, height)
    nearest = min(abs(Fraction(*bucket) - ratio) for bucket in buckets.resolutions)
    assert (
        abs(Fraction(*place.bucket) - ratio) <= nearest + Fraction(1, 10**9)
        or (width, height) == place.bucket
    )


@given(bucketings(), SIDES, SIDES)
def test_an_image_covers_its_bucket_and_touches_it(buckets: Buckets, width: int, height: int) -> None:
    place = buckets.place((width, height))

    assert place is not None
    scaled = width * place.enlargement, height * place.enlargement
    overlap = [side / bucket for side, bucket in zip(scaled, place.bucket, strict=True)]
    assert min(overlap) == pytest.approx(1)
    assert place.kept == pytest.approx(1 / max(overlap))


@given(STEPS, SIDES, SIDES)
def test_without_upscaling_no_image_grows(step: int, width: int, height: int) -> None:
    place = Buckets(step=step, no_upscale=True).place((width, height))

    assume(place is not None)
    assert place.enlargement <= 1 + step / min(place.bucket)
    assert all(side % step == 0 for side in place.bucket)
    if width * height <= 1024 * 1024:
        assert place.bucket == (width - width % step, height - height % step)
        assert place.enlargement == 1


@given(SIDES, SIDES)
def test_without_buckets_all_goes_to_the_resolution(width: int, height: int) -> None:
    place = Buckets((768, 512), enabled=False).place((width, height))

    assert place is not None
    assert place.bucket == (768, 512)
