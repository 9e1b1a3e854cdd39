"""The market's walk: a function of seed and time, whoever looks and how often."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.market import STEP, Market

EPOCH = 1_700_000_000.0
times = st.floats(0, 10 * 86400)
indexes = st.integers(0, 200)


def lively(seed: int = 7) -> Market:
    return Market(seed, EPOCH, calm=False)


POLLED = lively()


@settings(max_examples=200)
@given(index=indexes, looks=st.lists(times, max_size=5), then=times)
def test_looking_at_the_market_does_not_move_it(index: int, looks: list[float], then: float):
    for look in looks:
        POLLED.quote(POLLED.offers[index], EPOCH + look)
    untouched = lively()
    assert POLLED.quote(POLLED.offers[index], EPOCH + then) == untouched.quote(
        untouched.offers[index], EPOCH + then
    )


@given(index=indexes, at=times)
def test_nothing_changes_within_a_step(index: int, at: float):
    market = POLLED
    start = market.next_step(EPOCH + at)
    offer = market.offers[index]
    assert market.quote(offer, start) == market.quote(offer, start + STEP * 0.99)


def test_another_seed_is_another_market():
    assert lively(1).fleet != lively(2).fleet
    assert lively(1).fleet == lively(1).fleet


def test_prices_walk_and_offers_come_and_go():
    market = lively()
    week = [EPOCH + hour * 3600 for hour in range(0, 168, 2)]
    moved = taken = 0
    for offer in market.offers[:80]:
        quotes = [market.quote(offer, at) for at in week]
        prices = {quote.dph_base for quote in quotes}
        moved += len(prices) > 10 and 0.7 < min(prices) / max(prices) < 1
        taken += len({quote.rentable for quote in quotes}) == 2
    assert moved == 80
    assert taken >= 70


def test_unreliable_hosts_are_offline_more_often():
    market = lively()
    steps = [EPOCH + step * STEP for step in range(2016)]
    by_reliability = sorted(market.fleet, key=lambda machine: machine.reliability)
    worst, best = (
        sum(not market.is_online(machine, at) for machine in machines for at in steps)
        for machines in (by_reliability[:10], by_reliability[-10:])
    )
    assert worst > 5 * best
    assert worst < 10 * len(steps) * 0.1


def test_a_calm_market_stands_still():
    market = Market(7, EPOCH, calm=True)
    for offer in market.offers[:40]:
        assert len({market.quote(offer, EPOCH + hour * 3600) for hour in range(100)}) == 1


def test_half_the_time_or_more_an_offer_is_free():
    market = lively()
    free = sum(market.is_free(offer, EPOCH + hour * 7200) for offer in market.offers for hour in range(20))
    assert 0.5 < free / (20 * len(market.offers)) < 0.9


def test_slices_of_a_machine_share_its_gpus():
    market = Market(7, EPOCH, calm=True)
    eight = next(machine for machine in market.fleet if machine.num_gpus == 8)
    slices = [offer for offer in market.offers if offer.machine is eight]
    assert sorted(len(offer.gpus) for offer in slices) == [1] * 8 + [2] * 4 + [4] * 2 + [8]
    market.held[eight.index] = {5}
    for offer in slices:
        assert market.is_free(offer, EPOCH) is (5 not in offer.gpus)


def test_bad_hosts_are_rare_and_rarer_among_the_reliable():
    fleets = [machine for seed in range(40) for machine in Market(seed, EPOCH, calm=True).fleet]
    good = [m.hidden_fault is not None for m in fleets if m.reliability > 0.99]
    poor = [m.hidden_fault is not None for m in fleets if m.reliability < 0.95]
    assert 0.005 < sum(good) / len(good) < 0.03
    assert sum(poor) / len(poor) > 2 * sum(good) / len(good)


@pytest.mark.parametrize("rentals", [0, 1, 7])
def test_an_offer_is_found_under_its_present_id_only(rentals: int):
    market = Market(7, EPOCH, calm=True)
    offer = market.offers[42]
    old = market.offer_id(offer)
    market.orders.rentals[42] = rentals
    assert market.find(market.offer_id(offer)) is offer
    assert (market.find(old) is offer) is (rentals == 0)
