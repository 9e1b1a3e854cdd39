"""The bid that costs least: within its bounds, in tenths of a cent, and no candidate is better."""

from __future__ import annotations

from math import floor

import pytest
from cost_models import BIDDABLE, EXPERIENCES, WORKS, numbers, terms, work
from hypothesis import given

from components.cost.bids import best_bid
from components.cost.estimate import estimate
from components.cost.experience import Experience
from components.cost.terms import Terms
from components.cost.work import Work

NOBODY = Experience()


@given(WORKS, BIDDABLE, EXPERIENCES, numbers(0, 128), numbers(0, 1))
def test_it_lies_within_its_bounds_and_none_between_is_much_better(
    job: Work, on: Terms, own: Experience, most: float, share: float
) -> None:
    found = best_bid(job, on, most, own)
    least = on.min_bid or 0

    if found is None:
        assert most < least + 0.002
        return
    bid, taken = found
    assert least <= bid.price <= most
    assert bid.price * 1000 == pytest.approx(round(bid.price * 1000), abs=1e-6)
    assert taken == estimate(job, bid, own)
    highest = min(floor(most * 1000) / 1000, 3 * least)
    other = on.model_copy(update={"price": bid.price + share * (highest - bid.price)})
    assert taken.total <= estimate(job, other, own).total * 1.05


@given(WORKS, BIDDABLE, EXPERIENCES, numbers(0.1, 100), numbers(0, 1))
def test_with_a_deadline_it_is_the_cheapest_in_time_and_the_cheapest_of_all_where_none_is(
    job: Work, on: Terms, own: Experience, hours: float, share: float
) -> None:
    most = 3 * (on.min_bid or 0) + 0.01
    free, found = best_bid(job, on, most, own), best_bid(job, on, most, own, hours)
    assert free
    assert found
    bid, taken = found
    cheapest, quickest = free[1], estimate(job, bid.model_copy(update={"price": most}), own)

    if cheapest.hours <= hours:
        assert found == free
    elif taken.hours > hours:
        assert found == free
        assert quickest.hours > hours * 0.95 or on.hours_left is not None
    else:
        assert taken.total >= cheapest.total
        assert bid.price > free[0].price
        less = bid.model_copy(update={"price": free[0].price + share * (bid.price - free[0].price) - 0.001})
        other = estimate(job, less, own)
        assert other.hours > hours or other.total >= taken.total * 0.95


def test_a_dearer_bid_meets_a_deadline_that_the_cheapest_misses() -> None:
    job, on = work(images=40_000, saves=5), terms(min_bid=0.2)
    free = best_bid(job, on, 2, NOBODY)
    assert free
    late = free[1].hours - 0.2
    found = best_bid(job, on, 2, NOBODY, late)

    assert found
    assert found[1].hours <= late < free[1].hours
    assert free[1].total < found[1].total < 1.2 * free[1].total
    assert best_bid(job, on, free[0].price, NOBODY, late) == free


def test_a_long_part_between_saves_is_worth_a_higher_bid() -> None:
    on = terms(min_bid=0.2)
    short, long = (best_bid(work(images=40_000, saves=saves), on, 1, NOBODY) for saves in (200, 2))

    assert short is not None
    assert long is not None
    assert long[0].price > short[0].price > 0.2


def test_where_bids_are_never_lost_the_least_one_is_best() -> None:
    quiet = best_bid(work(), terms(min_bid=0.2), 1, Experience(bid_hours=100_000))

    assert quiet is not None
    assert quiet[0].price == 0.2


def test_no_bid_where_none_is_taken_or_the_least_is_too_much() -> None:
    assert best_bid(work(), terms(), 1, NOBODY) is None
    assert best_bid(work(), terms(min_bid=0.2), 0.1, NOBODY) is None
    assert best_bid(work(), terms(min_bid=0.2001), 0.2002, NOBODY) is None
