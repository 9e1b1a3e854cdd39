"""How a run goes on: the options of its next part, what a person is told, and how often to save."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.kohya.ledger import Point
from components.kohya.options import FULL, LORA, Script
from components.kohya.options import options as known_options
from components.kohya.resume import continued, described, interval

OPTIONS: dict[str, Any] = {
    "pretrained_model_name_or_path": "models/base.safetensors",
    "output_name": "cat",
    "max_train_epochs": 10,
    "lr_scheduler": "constant_with_warmup",
    "lr_warmup_steps": 30,
    "save_every_n_epochs": 1,
    "save_state": True,
}
STATE = Point(3, state="runs/cat/part-1/cat-000003-state", steps_per_epoch=20)
WEIGHTS = Point(3, weights="runs/cat/part-1/cat-000003.safetensors", steps_per_epoch=20)


@pytest.mark.parametrize(
    ("script", "point", "processes", "changes"),
    [
        (LORA, STATE, 1, {"resume": STATE.state, "initial_epoch": 4}),
        (LORA, STATE, 2, {"resume": STATE.state, "initial_step": 60}),
        (
            LORA,
            WEIGHTS,
            1,
            {"network_weights": WEIGHTS.weights, "dim_from_weights": True, "initial_epoch": 4},
        ),
        (FULL, STATE, 1, {"resume": STATE.state, "max_train_epochs": 7}),
        (FULL, WEIGHTS, 1, {"pretrained_model_name_or_path": WEIGHTS.weights, "max_train_epochs": 7}),
    ],
)
def test_a_part_goes_on_by_these_options_and_no_others(
    script: Script, point: Point, processes: int, changes: dict[str, Any]
) -> None:
    assert continued(script, OPTIONS, point, processes) == OPTIONS | changes


@pytest.mark.parametrize("processes", [1, 2])
def test_a_share_of_warmup_is_that_of_the_whole_run(processes: int) -> None:
    full = continued(FULL, OPTIONS | {"lr_warmup_steps": 0.25}, STATE, processes)
    lora = continued(LORA, OPTIONS | {"lr_warmup_steps": 0.25}, STATE, processes)

    assert full
    assert lora
    assert full["lr_warmup_steps"] == 0.25 * 10 * 20 * processes
    assert lora["lr_warmup_steps"] == 0.25


@given(
    st.sampled_from([LORA, FULL]),
    st.integers(0, 12),
    st.sampled_from(["", "state"]),
    st.integers(1, 8),
    st.sampled_from([0.1, 30]),
)
def test_every_part_has_the_epochs_that_are_left_in_options_that_its_script_knows(
    script: Script, done: int, state: str, processes: int, warmup: float
) -> None:
    before = OPTIONS | {"lr_warmup_steps": warmup}
    options = dict(before)
    found = continued(script, options, Point(done, state, "" if state else "file", 20), processes)

    assert options == before
    if done >= 10:
        assert found is None
        return
    assert found
    assert found.keys() <= known_options(script).keys()
    start = found.get("initial_epoch", found.get("initial_step", 0) // 20 + 1)
    assert found["max_train_epochs"] - (start - 1) == 10 - done
    if not done:
        assert found == before


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (Point(0), "begins with its first epoch"),
        (STATE, "goes on after epoch 3 of 10 with weights, optimizer and schedule as they were"),
        (WEIGHTS, "goes on after epoch 3 of 10 with its weights alone: optimizer and schedule begin anew"),
        (Point(10), "all 10 epochs are done"),
    ],
)
def test_a_person_is_told_where_it_goes_on_and_what_is_lost(point: Point, words: str) -> None:
    assert described(point, 10) == words


def expected_time(every: int, epoch: float, save: float, mean: float) -> float:
    """Return wall time by trained time where interruptions come at random: Daly's complete model."""
    return mean * math.expm1((every * epoch + save) / mean) / (every * epoch)


HOUR = 3600.0


@given(st.floats(20, 2 * HOUR), st.floats(1, 300), st.floats(0.5 * HOUR, 200 * HOUR))
def test_no_other_interval_loses_noticeably_less(epoch: float, save: float, mean: float) -> None:
    chosen = interval(epoch, save, mean, epochs=100_000)

    most = max(2, math.ceil(2 * mean / epoch))
    best = min(expected_time(n, epoch, save, mean) for n in range(1, min(most, 2000) + 1))
    assert expected_time(chosen, epoch, save, mean) <= 1.02 * best


@given(st.floats(0.1, 1e5), st.floats(0.01, 1e4), st.floats(1, 1e7), st.floats(1, 100), st.integers(1, 1000))
def test_an_interval_leaves_two_states_and_grows_with_what_makes_saving_dear_or_needless(
    epoch: float, save: float, mean: float, factor: float, epochs: int
) -> None:
    chosen = interval(epoch, save, mean, epochs)

    assert chosen >= 1
    assert (epochs - 1) // chosen >= min(2, epochs - 1)
    assert interval(epoch, save, mean * factor, epochs) >= chosen
    assert interval(epoch * factor, save, mean, epochs) <= chosen


@pytest.mark.parametrize(
    ("epoch", "save", "mean", "every"),
    [
        (600.0, 60.0, 24 * HOUR, 5),
        (600.0, 60.0, 1 * HOUR, 1),
        (60.0, 2.0, 6 * HOUR, 5),
        (7200.0, 60.0, 6 * HOUR, 1),
        (600.0, 60.0, math.inf, 49),
    ],
)
def test_intervals_of_common_runs(epoch: float, save: float, mean: float, every: int) -> None:
    assert interval(epoch, save, mean, epochs=100) == every
