"""Steps against an oracle that lays out every single image of an epoch and forms the batches by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.dataset.buckets import Buckets
from components.dataset.images import Image, Subset
from components.dataset.steps import Estimate, estimate

BUCKETS = Buckets()
SMALL = st.integers(1, 5)


def subset(name: str, sizes: list[tuple[int, int]], repeats: int = 1, *, is_reg: bool = False) -> Subset:
    images = tuple(Image(Path(name, f"{index:03}.png"), *size) for index, size in enumerate(sizes))
    return Subset(Path(name), repeats, is_reg=is_reg, images=images)


@st.composite
def subset_lists(draw: st.DrawFn) -> list[Subset]:
    """Draw some folders of training and some of regularisation images."""
    sizes = st.lists(st.tuples(st.integers(256, 3000), st.integers(256, 3000)), max_size=12)
    return [
        subset(f"{kind}{index}", draw(sizes), draw(SMALL), is_reg=kind == "reg")
        for kind in ("train", "reg")
        for index in range(draw(st.integers(0, 3)))
    ]


def epoch(subsets: list[Subset]) -> list[tuple[int, int]]:
    """Return the size of every image that one epoch shows, in sd-scripts' way of balancing."""
    shown = [
        image for part in subsets if not part.is_reg for image in part.images for _ in range(part.repeats)
    ]
    wanted, regularisation = len(shown), [part for part in subsets if part.is_reg]
    extra: list[Image] = []
    for part in regularisation:
        for image in part.images:
            if len(extra) < wanted:
                extra += [image] * part.repeats
    distinct = list(dict.fromkeys(extra))
    while distinct and len(extra) < wanted:
        extra += distinct[: wanted - len(extra)]
    return [image.size for image in (*shown, *extra)]


@given(subset_lists(), st.integers(1, 6), st.integers(1, 4), SMALL, SMALL)
def test_steps_are_those_that_counting_batches_one_by_one_gives(
    subsets: list[Subset], batch_size: int, epochs: int, accumulation: int, processes: int
) -> None:
    found = estimate(
        subsets, BUCKETS, batch_size=batch_size, epochs=epochs, accumulation=accumulation, processes=processes
    )

    waiting: dict[tuple[int, int], list[int]] = {}
    sizes = epoch(subsets)
    random.Random(1).shuffle(sizes)  # the order changes nothing
    batches: list[int] = []
    for size in sizes:
        place = BUCKETS.place(size)
        assert place is not None
        batch = waiting.setdefault(place.bucket, [])
        batch.append(1)
        if len(batch) == batch_size:
            batches.append(len(waiting.pop(place.bucket)))
    batches += [len(batch) for batch in waiting.values()]
    rounds = len(range(0, len(batches), processes))
    steps = len(range(0, rounds, accumulation))

    assert found.batches_per_epoch == len(batches)
    assert found.partial_batches == sum(count < batch_size for count in batches)
    assert sum(count for _, count in found.buckets) == len(sizes)
    assert found.steps_per_epoch == steps
    assert found.steps == steps * epochs


def count(subsets: list[Subset], batch_size: int = 1, epochs: int = 1) -> Estimate:
    return estimate(subsets, BUCKETS, batch_size=batch_size, epochs=epochs)


def test_each_bucket_rounds_up_for_itself() -> None:
    mixed = subset("a", [(1024, 1024)] * 5 + [(1536, 1024)] * 5)

    found = count([mixed], batch_size=4, epochs=10)

    assert found.buckets == (((1024, 1024), 5), ((1216, 832), 5))
    assert (found.batches_per_epoch, found.partial_batches, found.steps) == (4, 2, 40)


def test_regularisation_doubles_the_steps() -> None:
    training = subset("a", [(1024, 1024)] * 10, repeats=3)
    regularisation = subset("r", [(1024, 1024)] * 4, is_reg=True)

    assert count([training]).steps == 30
    assert count([training, regularisation]).steps == 60
    assert count([training, regularisation]).reg_images == 30


def test_surplus_regularisation_images_are_not_shown() -> None:
    training = subset("a", [(1024, 1024)] * 3)
    regularisation = subset("r", [(1024, 1024)] * 50, is_reg=True)

    assert count([training, regularisation]).steps == 6


def test_a_folder_that_is_named_twice_counts_once() -> None:
    training = subset("a", [(1024, 1024)] * 3)

    assert count([training, subset("a", [(1024, 1024)] * 3, repeats=9)]) == count([training])


def test_nothing_makes_no_steps() -> None:
    assert count([], epochs=9).steps == 0


@pytest.mark.parametrize(
    ("processes", "accumulation", "steps"), [(1, 1, 10), (4, 1, 3), (1, 4, 3), (3, 2, 2)]
)
def test_processes_and_accumulation_share_an_epoch(processes: int, accumulation: int, steps: int) -> None:
    found = estimate(
        [subset("a", [(1024, 1024)] * 10)],
        BUCKETS,
        batch_size=1,
        epochs=1,
        processes=processes,
        accumulation=accumulation,
    )

    assert found.steps == steps
