"""The curve: round ticks, lines inside their box, and a mark wherever the trainer broke off."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from records import record_of

from components.record.axis import axis, smooth, steps_axis
from components.record.curve import figure, number
from components.record.model import LossPoint

LOSSES = st.floats() | st.none() | st.floats(0, 1)
POINT = st.builds(
    LossPoint, step=st.integers(0, 2**63 - 1) | st.integers(0, 50), loss=LOSSES, learning_rate=LOSSES
)


@given(st.lists(POINT, max_size=30))
@example([LossPoint(step=0, loss=5e-324)])
def test_every_line_stays_in_its_box_and_every_label_beside_it(points: list[LossPoint]) -> None:
    drawn = figure(record_of(loss=tuple(points)))
    for path in re.findall(r' d="([^"]*)"', drawn):
        assert re.fullmatch(r"([MLHVhZ]?[ ]?(\d+(\.\d+)?)?)*", path)
        assert all(0 <= float(place) <= 1000 for place in re.findall(r"[\d.]+", path))
    shares = [float(share) for share in re.findall(r'style="(?:left|bottom):([\d.]+)%"', drawn)]
    assert all(0 <= share <= 100 for share in shares)
    assert bool(shares) == any(point.loss is not None for point in points)


SIZE = st.floats(1e-9, 1e9)


@given(st.just(0.0) | SIZE, SIZE, st.integers(3, 9))
def test_ticks_are_round_few_and_reach_around_the_values(low: float, span: float, most: int) -> None:
    found = axis(low, low + span, most)
    assert 2 <= len(found.ticks) <= most
    assert found.low <= low + 1e-9 * (low + span)
    assert found.high >= (low + span) * (1 - 1e-9)
    unit = found.ticks[1] - found.ticks[0]
    if span > low * 1e-6:
        mantissa = unit / 10 ** math.floor(math.log10(unit * (1 + 1e-6)))
        assert min(abs(mantissa - round_) for round_ in (1, 2, 5)) < 1e-3


def test_ticks_of_a_loss_that_hardly_moves_have_different_labels() -> None:
    found = axis(0.1, 0.1 + 1e-7, 8)
    assert len({number(tick) for tick in found.ticks}) == len(found.ticks)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(3, 9))
def test_ticks_of_steps_are_whole_and_on_the_axis(low: int, span: int, most: int) -> None:
    found = steps_axis(low, low + span, most)
    assert found.low == low
    assert len(found.ticks) <= most
    assert all(low <= tick <= low + span and tick == int(tick) for tick in found.ticks)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=200))
def test_the_smoothed_course_stays_within_what_was_measured(values: list[float]) -> None:
    course = [value for _, value in smooth(list(enumerate(values))) if value is not None]
    assert course[0] == values[0]
    assert min(values) - 1e-9 <= min(course) <= max(course) <= max(values) + 1e-9


def test_a_lost_machine_is_marked_where_it_was_lost_and_what_was_done_again_is_shaded() -> None:
    drawn = figure(record_of())
    at, back = (f"{(step - 1) / 29 * 1000:.1f}" for step in (14, 11))
    assert f'<path d="M{back} 0V1000H{at}V0Z" class="again">' in drawn
    assert f'<path d="M{at} 0V1000" class="end">' in drawn
    assert (
        "Instance 1 was lost at step 14 (text 12); instance 2, text 13, went on from text 17, at step 11."
        in drawn
    )
    raw = re.findall(r'd="([^"]*)" class="raw"', drawn)
    assert len(raw) == 1
    assert raw[0].count("M") == 2, "the line breaks where the steps go back"


def test_one_outlier_does_not_flatten_the_rest_and_is_said() -> None:
    points = [LossPoint(step=step, loss=0.1) for step in range(1, 1001)] + [LossPoint(step=1001, loss=90.0)]
    drawn = figure(record_of(loss=tuple(points)))
    assert re.search(r"1 above [\d.]+ are drawn at the upper edge", drawn)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.15000000000000002, "0.15"), (1e-4, "1e-4"), (2.5e-5, "2.5e-5"), (3.0, "3")],
)
def test_numbers_read_well(value: float, text: str) -> None:
    assert number(value) == text
