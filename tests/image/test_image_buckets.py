"""Bucket and step arithmetic against an independent statement of the same rules."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library import steps
from library.buckets import Buckets, resolutions
from library.dataset import Dataset

STEPS = st.sampled_from([32, 64, 128])
SIDES = st.integers(64, 4096)


def all_resolutions(area: int, least: int, most: int, step: int) -> set[tuple[int, int]]:
    """By search: for each width the tallest height within area and limits, both ways round, and the square."""
    sides = range(least, most + 1, step)
    found = set()
    for width in sides:
        heights = [height for height in range(step, most + 1, step) if width * height <= area]
        if heights and heights[-1] >= least:
            found |= {(width, heights[-1]), (heights[-1], width)}
    square = max(side for side in range(0, math.isqrt(area) + 1, step))
    return found | {(square, square)}


@given(
    side=st.integers(4, 20).map(lambda count: count * 64),
    least=st.integers(1, 8),
    most=st.integers(16, 40),
    step=STEPS,
)
@settings(deadline=None)
def test_the_resolutions_are_those_that_a_search_finds(side: int, least: int, most: int, step: int) -> None:
    found = resolutions((side, side), least * step, most * step, step)
    assert found == sorted(all_resolutions(side * side, least * step, most * step, step))


@given(width=SIDES, height=SIDES, step=STEPS)
@settings(deadline=None)
def test_an_image_goes_to_the_bucket_of_the_nearest_aspect_ratio(width: int, height: int, step: int) -> None:
    buckets = Buckets((1024, 1024), 256, 2048, step, no_upscale=False)
    bucket, error = buckets.select((width, height))

    choices = resolutions((1024, 1024), 256, 2048, step)
    assert bucket in choices
    if (width, height) in choices:
        assert bucket == (width, height)
    distances = {choice: abs(Fraction(*choice) - Fraction(width, height)) for choice in choices}
    assert distances[bucket] <= min(distances.values()) + Fraction(1, 10**9)
    assert error == pytest.approx(bucket[0] / bucket[1] - width / height)


@given(width=SIDES, height=SIDES, step=STEPS)
def test_without_upscaling_a_bucket_is_never_larger_than_its_image(
    width: int, height: int, step: int
) -> None:
    buckets = Buckets((1024, 1024), 256, 1024, step, no_upscale=True)
    if min(width, height) < step or max(width / height, height / width) > 8:
        return  # a side of zero: the real one makes no sense of it either
    (wide, tall), _ = buckets.select((width, height))

    assert wide <= width
    assert tall <= height
    assert wide % step == tall % step == 0
    if width * height <= 1024 * 1024:
        assert (wide, tall) == (width - width % step, height - height % step)


@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=8), size=st.integers(1, 16))
def test_every_bucket_rounds_its_batches_up(counts: list[int], size: int) -> None:
    dataset = Dataset({"batch_size": size}, validation=False)
    dataset.counts = {(index, index): count for index, count in enumerate(counts)}

    assert dataset.batches == sum(len(range(0, count, size)) for count in counts)
    assert dataset.batches >= math.ceil(sum(counts) / size)


@given(
    batches=st.integers(1, 500),
    processes=st.integers(1, 8),
    accumulation=st.integers(1, 8),
    epochs=st.integers(1, 20),
)
def test_an_epoch_makes_the_steps_that_counting_them_gives(
    batches: int, processes: int, accumulation: int, epochs: int
) -> None:
    loader = len(range(0, batches, processes))
    counted = sum(1 for index in range(loader) if (index + 1) % accumulation == 0 or index + 1 == loader)
    assert steps.per_epoch(batches, processes, accumulation) == counted
    assert steps.epochs(epochs * counted, loader, accumulation) == epochs
