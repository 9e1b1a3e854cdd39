"""The replay of markets: the same every time, billed as the ledger bills, and never beaten by foresight."""

from __future__ import annotations

import math

import pytest

from bench import market
from bench.replay.plot import picture
from bench.replay.stay import Stay
from bench.replay.world import World
from components.cost.work import Work
from simulator.ledger import GB, Ledger, nano
from simulator.market import Market
from simulator.offers import disk_per_hour
from simulator.store import Store

WORK = Work(kind="lora", images=3600, saves=4, disk=60, image=7, fetched=9, sent=1, returned=8, setup=120)


def calm(seed: int) -> World:
    world = World(seed)
    world.market = Market(seed, 0.0, calm=True)
    return world


def sound(world: World):
    """Return a single GPU on a sound machine whose traffic costs something."""
    return next(
        each
        for each in world.market.offers
        if len(each.gpus) == 1
        and not each.machine.hidden_fault
        and each.machine.inet_up_cost
        and each.machine.inet_down_cost
    )


@pytest.mark.parametrize("bid", [None, 0.777])
def test_a_contract_bills_as_the_ledger_does(tmp_path, bid):
    world = calm(4)
    of = sound(world)
    stay = Stay(world, of, WORK, 600.0, bid)
    assert stay.run() == "done"
    assert stay.left == 0

    machine = of.machine
    ledger = Ledger(Store(tmp_path / "db"))
    runs = 600 + 5 + 4 + 7 * 8000 / min(machine.inet_down, 1000) + 7 / 0.35
    setup = 120 + 9 * 8000 / machine.inet_down + 1 * 8000 / min(machine.inet_down, 50)
    trained = runs + setup + 3600 * world.seconds(of, WORK)
    back = 8 * 8000 / min(machine.inet_up, 200)
    ends = trained + max(back / 4, back - (trained - runs - setup))
    price = world.on_demand(of, 0) if bid is None else bid
    ledger.open(1, "disk", 600, nano(disk_per_hour(machine.storage_cost, 60)))
    ledger.open(1, "gpu", runs, nano(price))
    ledger.count(1, "bwd", ends, nano(machine.inet_down_cost), 10 * GB)
    ledger.count(1, "bwu", ends, nano(machine.inet_up_cost), 8 * GB)
    assert stay.now == pytest.approx(ends)
    second = nano(price + machine.storage_cost) / 3600  # the ledger knows whole seconds
    assert stay.dollars * 1e9 == pytest.approx(ledger.spent(ends), abs=3 * second)


def test_a_bid_that_loses_keeps_what_was_saved_and_bills_no_longer():
    world = World(3)
    of = sound(world)
    start = next(step * 300.0 for step in range(400, 900) if world.online(of, step * 300.0))
    least = world.min_bid(of, start)
    lost = next(
        at
        for at in (start + 300 * step for step in range(1, 900))
        if world.min_bid(of, at) > least or world.taken(of, at) or not world.online(of, at)
    )
    long = WORK.model_copy(update={"images": 1e6})
    stay = Stay(world, of, long, start, least, patience=0)
    assert stay.run() in ("outbid", "displaced", "offline")
    assert stay.now == lost
    assert stay.left == WORK.saves
    assert stay.dollars < (least + 1) * (lost - start) / 3600 + 10 * of.machine.inet_down_cost


@pytest.fixture(scope="module")
def rows():
    return market.replay(2)


def test_the_replay_is_the_same_every_time(rows):
    assert market.table(market.replay(2)) == market.table(rows)


def test_nobody_beats_whoever_sees_the_future(rows):
    for case, took in rows:
        *others, seen = took.values()
        assert seen.done
        in_time = [each for each in others if each.done and each.hours <= (case.hours or math.inf)]
        assert all(seen.dollars <= each.dollars for each in in_time), case.name


def test_the_picture_has_a_line_for_each_way():
    drawn = picture("two jobs", {"a": [1.0, 3.0], "b": [2.0, 99.0]})
    assert drawn.count('class="way c1"') == 2
    assert "NaN" not in drawn
