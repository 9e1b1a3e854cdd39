"""Seconds an image: the table, what lies beyond it, the kinds of work, and the user's own runs."""

from __future__ import annotations

import tomllib
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
from cost_models import EXPERIENCES, TERMS, TRAININGS, numbers, terms, work
from hypothesis import given

from components.cost.experience import Experience, Speed
from components.cost.speeds import Pace, listed, pace
from components.cost.terms import Terms
from components.cost.work import Work
from components.spec.gpus import VRAM

ROOT = Path(__file__).parents[3]
DATA = tomllib.loads((ROOT / "components/cost/data/speeds.toml").read_text())
NOBODY = Experience()


def seconds(gpu: str = "RTX 4090", *, dlperf: float = 0, own: Experience = NOBODY, **job: Any) -> float:
    """Return the median seconds of an image."""
    found = pace(terms(gpu=gpu, dlperf=dlperf), work(**job), own)
    return found.seconds / exp(found.spread**2 / 2)


def test_every_number_of_the_table_has_its_place_in_the_docs() -> None:
    text = (ROOT / "docs/speeds.md").read_text()

    numbers = [(each, f"{each['seconds']:g} s") for each in DATA["reports"]]
    numbers += [(each, f"{each['times']:g}") for each in DATA["ratios"]]
    for entry, number in numbers:
        row = f"| {', '.join(entry['gpus'])} |"
        assert any(
            line.startswith(row) and f"| {number} |" in line and line.endswith(f"{entry['source']} |")
            for line in text.splitlines()
        ), entry
    for gpu, found in listed().items():
        assert f"| {gpu} | {found.seconds:.2f} |" in text


def test_the_table_knows_only_gpus_that_vast_has() -> None:
    assert listed().keys() <= VRAM.keys()


@pytest.mark.parametrize(
    ("gpu", "dlperf"), [("RTX 3060", 18), ("RTX 3090", 45), ("RTX 4090", 98), ("H100 SXM", 300)]
)
def test_dlperf_would_have_told_the_listed_ones_nearly_as_well(gpu: str, dlperf: float) -> None:
    assert seconds("RTX 7090", dlperf=dlperf) == pytest.approx(listed()[gpu].seconds, rel=0.25)


def test_dlperf_is_of_all_gpus_together() -> None:
    one = pace(terms(gpu="RTX 7090", dlperf=100), work(), NOBODY)
    four = pace(terms(gpu="RTX 7090", dlperf=400, gpus=4), work(), NOBODY)

    assert one == four


def test_what_is_known_less_well_spreads_more() -> None:
    spreads = [
        pace(terms(gpu=gpu, dlperf=dlperf), work(), NOBODY).spread
        for gpu, dlperf in (("RTX 4090", 98), ("A100 SXM4", 120), ("RTX 7090", 120), ("RTX 7090", 0))
    ]

    assert spreads == sorted(spreads)
    assert len(set(spreads)) == len(spreads)


def test_less_vram_is_guessed_to_be_slower() -> None:
    guesses = [seconds(gpu) for gpu in ("L40S", "RTX 4500Ada", "RTX A4000", "RTX 3070")]

    assert guesses == sorted(guesses)
    assert guesses[0] < guesses[-1]


def test_the_factors_of_work() -> None:
    usual = seconds()

    assert seconds(kind="full") == pytest.approx(1.3 * usual)
    assert seconds(checkpointing=False) == pytest.approx(0.8 * usual)
    assert seconds(batch=1) == pytest.approx(1.7 / 1.175 * usual)
    assert usual / 4 < seconds(megapixels=0.25) < usual
    assert seconds(batch=8) < usual


def test_own_runs_pull_the_speed_to_theirs() -> None:
    table = seconds(batch=1)

    def after(runs: int) -> float:
        own = Speed(seconds=1.5 * listed()["RTX 4090"].seconds, runs=runs)
        return seconds(own=Experience(speeds={"RTX 4090/lora": own}), batch=1)

    assert after(2) == pytest.approx(table * exp(log(1.5) / 2))
    assert table < after(1) < after(2) < after(1000) < 1.5 * table
    assert after(1000) == pytest.approx(1.5 * table, rel=0.01)
    assert seconds(own=Experience(speeds={"RTX 4090/full": Speed(seconds=9, runs=9)}), batch=1) == table


@given(TERMS, TRAININGS, EXPERIENCES, numbers(1, 1000))
def test_a_higher_dlperf_is_never_slower(on: Terms, job: Work, own: Experience, more: float) -> None:
    def at(dlperf: float) -> Pace:
        return pace(on.model_copy(update={"dlperf": dlperf}), job, own)

    assert at(on.dlperf + more).seconds <= at(on.dlperf or 1).seconds * (1 + 1e-9)
