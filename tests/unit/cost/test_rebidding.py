"""A bid is changed only where that is cheaper than what else there is, and never beyond what it may be."""

from __future__ import annotations

from math import inf

import pytest
from cost_models import TERMS, WORKS, numbers, terms, work
from hypothesis import given
from hypothesis import strategies as st

from components.cost.estimate import estimate
from components.cost.experience import Experience
from components.cost.rebidding import going_on, rebid, rest
from components.cost.terms import Terms
from components.cost.work import Work

BIDDING = TERMS.filter(lambda found: bool(found.min_bid))
LONG = st.builds(lambda images, saves: work(images=images, saves=saves), numbers(2e4, 2e5), st.integers(1, 9))
FLOORS = st.integers(50, 1000).map(lambda tenths: tenths / 1000)


@given(WORKS, BIDDING, numbers(0, 10), numbers(0, 1000))
def test_a_bid_wins_and_is_never_more_than_it_may_be(
    left: Work, now: Terms, most: float, elsewhere: float
) -> None:
    bid = rebid(left, now, most, elsewhere)

    assert bid is None or (now.min_bid or 0) <= bid <= most + 1e-9
    assert bid != now.price


@given(WORKS, FLOORS)
def test_a_bid_that_lost_is_raised_only_where_nothing_else_is_cheaper(left: Work, floor: float) -> None:
    lost = terms(price=floor * 0.9, min_bid=floor, watched=True)
    bid = rebid(left, lost, floor * 2, inf)
    here = going_on(left, lost.model_copy(update={"price": bid}), Experience())

    assert rebid(left, lost, floor * 2, here * 1.01 + 0.01) == bid
    assert rebid(left, lost, floor * 2, here) is None


@given(LONG, FLOORS)
@pytest.mark.parametrize(("times", "raised"), [(1.0, True), (3.0, False)])
def test_a_bid_that_wins_follows_the_market_where_that_saves_something(
    times: float, raised: bool, left: Work, floor: float
) -> None:
    now = terms(price=floor * times, min_bid=floor, watched=True)
    bid = rebid(left, now, floor * 4, inf)

    assert bid is not None
    assert (bid > now.price) == raised
    better = now.model_copy(update={"price": bid})
    assert going_on(left, better, Experience()) < going_on(left, now, Experience())


@given(WORKS, TERMS)
def test_what_goes_on_costs_no_more_than_what_begins(left: Work, now: Terms) -> None:
    assert -1e-9 <= going_on(left, now, Experience()) <= estimate(left, now).total + 1e-9


@given(WORKS, numbers(0, 1))
def test_the_rest_of_the_work_is_a_share_of_it_with_the_same_start(whole: Work, share: float) -> None:
    left = rest(whole, share)

    assert left.images == whole.images * share
    assert 1 <= left.saves <= whole.saves
    assert (left.fetched, left.setup, left.image) == (whole.fetched, whole.setup, whole.image)


@pytest.mark.parametrize(
    ("bid", "floor", "most", "elsewhere", "changed"),
    [
        (0.20, 0.186, 1, 0.0, False),  # a bit above what wins: as good as any
        (0.20, 0.05, 1, 0.0, True),  # four times what wins
        (0.20, 0.20, 1, inf, True),  # barely wins
        (0.20, 0.20, 1, 0.0, False),  # likewise, and elsewhere is free
        (0.20, 0.25, 1, 9.0, True),  # lost, and elsewhere is dear
        (0.20, 0.25, 1, 0.0, False),  # lost, and elsewhere is free
        (0.20, 0.25, 0.22, inf, False),  # lost, and no bid that wins is allowed
        (0.20, 0.90, 1, 0.5, False),  # lost to a price that elsewhere nobody asks
    ],
)
def test_when_a_bid_is_changed(
    bid: float, floor: float, most: float, elsewhere: float, changed: bool
) -> None:
    now = terms(price=bid, min_bid=floor)

    assert (rebid(work(images=30000), now, most, elsewhere) is not None) == changed


@given(LONG, FLOORS)
def test_a_bid_that_was_just_changed_is_left(left: Work, floor: float) -> None:
    """So that it is not changed again and again, by a tenth of a cent each."""
    now = terms(price=floor, min_bid=floor)
    bid = rebid(left, now, 4, inf)

    assert rebid(left, now.model_copy(update={"price": bid}), 4, inf) is None
