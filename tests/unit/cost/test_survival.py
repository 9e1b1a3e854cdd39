"""Losses an hour: bids, hosts, and what the user's own hours change."""

from __future__ import annotations

import pytest
from cost_models import EXPERIENCES, numbers, terms
from hypothesis import given

from components.cost.experience import Experience
from components.cost.survival import hazard, outbid, unstarted

NOBODY = Experience()


@given(numbers(0, 10), numbers(0, 10), EXPERIENCES)
def test_a_higher_bid_is_never_lost_more_often(ratio: float, more: float, own: Experience) -> None:
    assert outbid(ratio + more, own) <= outbid(ratio, own)


@given(numbers(0, 10), EXPERIENCES)
def test_a_bid_that_is_watched_is_never_lost_more_often(ratio: float, own: Experience) -> None:
    assert outbid(ratio, own, watched=True) <= outbid(ratio, own)


def test_a_watched_bid_needs_less_of_a_margin() -> None:
    assert outbid(1.0, NOBODY, watched=True) == outbid(1.0, NOBODY)
    assert outbid(1.029, NOBODY, watched=True) == pytest.approx(0.95, abs=0.01)
    bid = terms(min_bid=0.2, price=0.21, watched=True)
    assert hazard(bid, NOBODY) < hazard(bid.model_copy(update={"watched": False}), NOBODY)


def test_no_bid_escapes_those_who_rent_on_demand() -> None:
    assert outbid(1.0, NOBODY) == pytest.approx(1.7)
    assert outbid(1.1, NOBODY) == pytest.approx(0.95)
    assert outbid(1e9, NOBODY) == pytest.approx(0.2)
    assert hazard(terms(min_bid=0, price=0.1, reliability=1), NOBODY) > 0.2


def test_on_demand_only_the_host_fails() -> None:
    assert hazard(terms(reliability=0.99), NOBODY) == pytest.approx(0.01 / 0.99)
    assert hazard(terms(reliability=1), NOBODY) < 0.001
    assert hazard(terms(reliability=0), NOBODY) == hazard(terms(reliability=0.5), NOBODY)


def test_own_hours_weigh_more_the_more_they_are() -> None:
    quiet = [outbid(1.2, Experience(bid_hours=hours)) for hours in (0, 10, 100, 1000)]
    as_expected = Experience(bid_hours=400, outbid=200)
    twice = Experience(bid_hours=400, outbid=400)

    assert quiet == sorted(quiet, reverse=True)
    assert outbid(1.2, as_expected) == pytest.approx(outbid(1.2, NOBODY))
    assert outbid(1.2, twice) == pytest.approx(2 * outbid(1.2, NOBODY), rel=0.02)


def test_some_machines_never_start() -> None:
    assert unstarted(terms(reliability=1)) == pytest.approx(0.02 / 0.98)
    assert unstarted(terms(reliability=0.9)) == pytest.approx(0.12 / 0.88)
    assert unstarted(terms(reliability=0)) == 1
