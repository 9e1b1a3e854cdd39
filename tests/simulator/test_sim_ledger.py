"""The ledger: exact to the virtual second, whatever happens and however often one looks."""

from __future__ import annotations

import asyncio
import math
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_machine import PaperMachine
from rest_client import Client

from simulator.clock import Clock
from simulator.contracts import Contract
from simulator.ledger import GB, HOUR, NANO, Ledger, nano
from simulator.rental import Request, rent
from simulator.store import Store
from simulator.world import World

END_OF_A_SECOND = 1_800_000_000.9
ORDERS = (
    "stop", "start", "reboot", "recycle", "exit", "outbid", "restore", "offline", "online", "download",
    "upload", "destroy", "rebid", "look",
)  # fmt: skip
scripts = st.lists(st.tuples(st.sampled_from(ORDERS), st.integers(0, 40)), max_size=15)


def obey(world: World, contract: Contract, order: str, now: float) -> int:
    """Carry out an order and return the bytes it sends."""
    life = world.lifecycle
    host: Any = world.hosts.get(contract.id)
    if order in ("outbid", "restore"):
        contract.outbid_floor = 50.0 if order == "outbid" else 0.0
        life.review(contract, now)
    elif order in ("offline", "online"):
        contract.forced_offline = order == "offline"
        life.review(contract, now)
    elif order == "download" and host:
        host.traffic.down += 123_456_789
        return 123_456_789
    elif order == "upload" and host:
        host.traffic.up += 987_654
        return 987_654
    elif order == "rebid":
        life.rebid(contract, now, (contract.bid or 0) + 0.01)
    elif order == "destroy":
        world.destroy(contract.id, now)
    elif order == "reboot" and contract.actual != "running":
        pass
    elif order in ("stop", "start", "reboot", "recycle", "exit"):
        getattr(life, order)(contract, now)
    return 0


async def play(folder: Path, script: list[tuple[str, int]]) -> None:
    """Follow a script, adding up second by second what it should cost."""
    world = World(folder, seed=7, scale=1e-9, calm=True, make_host=PaperMachine)
    world.clock = world.hosts._clock = Clock(1e-9, END_OF_A_SECOND)
    world._settled = world.clock.now()
    offer = next(o for o in world.market.offers if len(o.gpus) == 1)
    now = world.settle()
    bid = world.market.min_bid(offer, now) + 0.01
    contract = rent(
        world, world.market.offer_id(offer), Request("ubuntu:22.04", "ssh", price=bid, disk=100.0), now
    )
    expected, sent = Fraction(0), 0
    for order, seconds in [*script, ("look", 60)]:
        now = world.settle()
        if world.contracts.get(contract.id):
            sent += obey(world, contract, order, now)
        for _ in range(seconds):
            exists = world.contracts.get(contract.id) is not None and not contract.offline
            if exists:
                expected += Fraction(nano(contract.offer["storage_cost"] * 100.0 / 720), HOUR)
            if exists and contract.actual == "running":
                expected += Fraction(nano(contract.dph_base), HOUR)
            now = await world.advance(1)
    rows = world.ledger.segments(now)
    traffic = [row for row in rows if row["kind"] in ("bwd", "bwu")]
    expected += sum(Fraction(row["rate"] * row["quantity"], GB) for row in traffic)
    assert sum(row["quantity"] for row in traffic) == sent
    assert abs(sum(row["amount"] for row in rows) - expected) <= Fraction(len(rows), 2)
    assert world.ledger.credit(now) == nano(100) - sum(row["amount"] for row in rows)
    await world.close()


@settings(max_examples=60, deadline=None)
@given(script=scripts)
def test_any_life_costs_what_adding_up_second_by_second_says(script: list[tuple[str, int]]):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), script))


segments = st.lists(st.tuples(st.integers(0, 5_000_000_000), st.integers(0, 100_000)), max_size=8)


@given(pieces=segments, looks=st.integers(0, 3))
def test_a_segment_is_rounded_once_and_looking_changes_nothing(pieces: list[tuple[int, int]], looks: int):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "db")
        ledger = Ledger(store)
        at, exact = 1000, []
        for rate, seconds in pieces:
            ledger.close(1, "gpu", at)
            ledger.open(1, "gpu", at, rate)
            for look in range(looks):
                ledger.checkpoint(at + seconds * look // 3)
            at += seconds
            exact.append(Fraction(rate * seconds, HOUR))
        assert ledger.spent(at) == sum(math.floor(amount + Fraction(1, 2)) for amount in exact)
        assert Ledger(store).spent(at) == ledger.spent(at), "and it is all written down"


@given(rate=st.integers(1, 10**11), credit=st.integers(1, 10**12))
def test_the_end_of_the_credit_is_foreseen_to_the_second(rate: int, credit: int):
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Store(Path(folder) / "db"))
        ledger.deposit(0, credit, "test")
        ledger.open(1, "gpu", 0, rate)
        end = ledger.exhausted_at(0)
        assert ledger.credit(end) <= 0 or rate < HOUR
        assert ledger.credit(end - 1) >= 0


def test_an_hour_costs_the_price_per_hour(api: Client):
    instance = api.running()
    before = api.bill()["contracts"][0]
    api.advance(3600)
    after = api.bill()["contracts"][0]
    assert after["gpu"] - before["gpu"] == pytest.approx(instance["dph_base"], abs=1e-9)
    assert after["disk"] - before["disk"] == pytest.approx(instance["storage_total_cost"], abs=1e-6)
    assert after["seconds"]["running"] - before["seconds"]["running"] == 3600


def test_the_report_adds_up(api: Client):
    for offer in api.search(num_gpus={"eq": 1}, limit=3):
        api.rent(offer["id"])
    api.advance(5000)
    first = api.bill()["contracts"][0]["id"]
    api.ok("DELETE", f"/api/v0/instances/{first}/", {})
    api.advance(5000)
    bill = api.bill()
    rows = [row for contract in bill["contracts"] for row in contract["segments"]]
    assert bill["spent_nano"] == sum(row["amount"] for row in rows)
    assert bill["total"] == pytest.approx(bill["gpu"] + bill["disk"] + bill["traffic"], abs=1e-12)
    assert bill["credit"] == pytest.approx(100 - bill["total"], abs=1e-12)
    assert (bill["billing_now"], bill["gpu_billing_now"]) == (2, 2)
    user = api.ok("GET", "/api/v0/users/current/")
    assert user["credit"] == pytest.approx(bill["credit"], abs=1e-6)


def test_nothing_is_billed_after_destroy(api: Client):
    number = api.running()["id"]
    api.ok("DELETE", f"/api/v0/instances/{number}/", {})
    total = api.bill()["spent_nano"]
    api.advance(86400)
    assert api.bill()["spent_nano"] == total
    assert api.bill()["billing_now"] == 0


def test_traffic_is_billed_both_ways_per_decimal_gigabyte(api: Client, sim: Any):
    instance = api.running(inet_up_cost={"gt": 0}, inet_down_cost={"gt": 0})
    machine = sim.world.hosts.get(instance["id"])
    machine.traffic.down += 3 * 10**9
    machine.traffic.up += 2 * 10**9
    expected = 3 * instance["inet_down_cost"] + 2 * instance["inet_up_cost"]
    assert api.bill()["traffic"] == pytest.approx(expected)
    by_kind = {row["kind"]: row for row in api.bill()["contracts"][0]["segments"]}
    assert by_kind["bwd"]["quantity"] == 3 * 10**9
    assert by_kind["bwu"]["amount"] == 2 * nano(instance["inet_up_cost"])


def test_traffic_right_before_destroy_is_billed(api: Client, sim: Any):
    instance = api.running(inet_up_cost={"gt": 0})
    sim.world.hosts.get(instance["id"]).traffic.up += 10**9
    api.ok("DELETE", f"/api/v0/instances/{instance['id']}/", {})
    assert api.bill()["traffic"] == pytest.approx(instance["inet_up_cost"])


def test_without_credit_everything_stops_at_that_second_and_disks_go_on(api: Client):
    instance = api.running()
    api.ok("POST", "/_sim/credit", {"set": instance["dph_total"]})
    api.advance(3 * 3600)
    stopped = api.instance(instance["id"])
    assert stopped["actual_status"] in ("stopped", "exited")
    assert (stopped["intended_status"], stopped["cur_state"]) == ("running", "stopped")
    bill = api.bill()
    assert (bill["billing_now"], bill["gpu_billing_now"]) == (1, 0)
    assert -0.1 < bill["credit"] < 0
    status, answer = api.call("PUT", f"/api/v0/instances/{instance['id']}/", {"state": "running"})
    assert (status, answer["error"]) == (400, "missing_billing")
    api.ok("POST", "/_sim/credit", {"add": 10})
    api.advance(60)
    assert api.instance(instance["id"])["actual_status"] == "running"


def test_dollars_are_nano_dollars():
    assert nano(1.23456789) == 1_234_567_890
    assert nano(1) == NANO
