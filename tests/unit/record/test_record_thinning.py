"""Thinning: short, in order, and every peak, valley and gap still there."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from components.record.model import LossPoint
from components.record.thinning import thin

LOSSES = st.none() | st.floats(0, 1)
STEPS = st.lists(st.integers(0, 500), max_size=300) | st.integers(0, 400).map(lambda count: [*range(count)])
LIMIT = st.integers(8, 60)
LONGEST = 20_000
FLAT = [LossPoint.model_construct(step=step, loss=0.5, learning_rate=None) for step in range(LONGEST)]


@st.composite
def curves(draw: st.DrawFn) -> list[LossPoint]:
    """Draw points whose steps may repeat and go back, as after the loss of a machine."""
    return [LossPoint(step=step, loss=draw(LOSSES)) for step in draw(STEPS)]


def losses(points: list[LossPoint] | tuple[LossPoint, ...]) -> list[float]:
    return [point.loss for point in points if point.loss is not None]


@given(curves(), LIMIT)
def test_few_points_of_the_curve_are_left_in_their_order(points: list[LossPoint], limit: int) -> None:
    thinned = thin(points, limit)
    assert len(thinned) <= limit
    rest = iter(points)
    assert all(any(point is other for other in rest) for point in thinned), "in order, none twice"
    assert thinned == tuple(points) or len(points) > limit
    assert thinned[:1] == tuple(points[:1])
    assert thinned[-1:] == tuple(points[-1:])


@given(st.lists(curves(), min_size=1, max_size=4), LIMIT)
def test_growing_and_thinning_again_never_loses_an_extreme(pieces: list[list[LossPoint]], limit: int) -> None:
    whole: list[LossPoint] = []
    kept: tuple[LossPoint, ...] = ()
    for piece in pieces:
        whole += piece
        kept = thin([*kept, *piece], limit)
        assert bool(losses(whole)) == bool(losses(kept))
        if losses(whole):
            assert (min(losses(whole)), max(losses(whole))) == (min(losses(kept)), max(losses(kept)))
        assert any(point.loss is None for point in whole) == any(point.loss is None for point in kept)


@given(st.integers(2001, LONGEST), st.data())
def test_a_single_peak_anywhere_in_a_long_run_survives(count: int, data: st.DataObject) -> None:
    peak = data.draw(st.integers(0, count - 1))
    valley = data.draw(st.integers(0, count - 1).filter(lambda step: step != peak))
    points = FLAT[:count]
    points[peak], points[valley] = LossPoint(step=peak, loss=1), LossPoint(step=valley, loss=0)
    thinned = thin(points)
    assert {peak, valley} <= {point.step for point in thinned}
    assert len(thinned) <= 2000
    gaps = [after.step - before.step for before, after in pairwise(thinned)]
    assert max(gaps) <= 2 * (count // 666 + 1), "no stretch is left empty"
