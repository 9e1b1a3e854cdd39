"""Renting, verifying and giving back, on a market with faults on order."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rented import Cloud, Run

from components.errors import FraguaError, NoOffer, ProvisioningError
from components.remote import shell
from components.remote.shell import connect
from components.vast import offers
from components.vast.machines import BadMachines
from components.vast.release import release
from components.vast.request import RentRequest
from components.vast.wire import Offer

Start = Callable[..., Run]


def first_choice(run: Run) -> Offer:
    """What `run` would rent first."""
    node = run.request.market
    found = run.cloud.api().search(offers.query(node))
    return offers.rank(found, node, run.request.allowed).choices[0].offer


def test_the_cheapest_fitting_machine_is_rented_and_lets_us_in(start: Start) -> None:
    run = start()
    [machine] = run.acquire()

    assert run.billing == [machine.instance.id]
    assert machine.login.host_key.startswith("ssh-ed25519 ")
    with connect(machine.login) as shell:
        assert shell.run("greeting", "cat", stdin="hello") == "hello"
    assert re.search(r"\d+ offers, \d+ fit", run.talk)


def test_an_offer_that_is_gone_is_passed_over(start: Start, cloud: Cloud) -> None:
    offer = first_choice(start()).id
    run = start()
    gone = {"success": False, "error": "no_such_ask", "msg": "error 410/1: no_such_ask"}
    cloud.ask("POST", "fault", effect="respond", method="PUT", path=rf"asks/{offer}", status=410, body=gone)
    run.acquire()

    assert len(cloud.made(run.request.owner)) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("wrong_gpu", "advertised .*, shows"),
        ("low_vram", "advertised .* MiB of VRAM, shows"),
        ("old_driver", "advertised driver .*, shows"),
        ("dead_ssh", "does not answer SSH"),
        ("stuck_loading", "still .* after"),
        ("never_running", "OCI runtime create failed"),
    ],
)
def test_a_bad_machine_is_given_back_remembered_and_replaced(
    fault: str, says: str, start: Start, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_BANNER_SECONDS", 2)
    machine = first_choice(start()).machine_id
    cloud.ask("POST", f"machines/{machine}/fault", fault=fault)
    run = start(limits={"boot": "3s", "ssh": "2s"})
    [found] = run.acquire()
    cloud.ask("POST", f"machines/{machine}/fault", fault=None)

    assert re.search(rf"on machine {machine}: .*{says}", run.talk), run.talk
    assert found.instance.machine_id != machine
    assert machine in BadMachines(cloud.url).ids()
    assert run.billing == [found.instance.id]


@pytest.fixture
def slow_boots(cloud: Cloud) -> Iterator[None]:
    """Boots take longer than the shortest limit."""
    cloud.ask("POST", "clock", scale=10)
    yield
    cloud.ask("POST", "clock", scale=1000)


@pytest.fixture
def quick_boots(cloud: Cloud) -> Iterator[None]:
    """Machines run as soon as somebody looks."""
    cloud.ask("POST", "clock", scale=20000)
    yield
    cloud.ask("POST", "clock", scale=1000)


@pytest.mark.usefixtures("slow_boots")
def test_when_every_machine_fails_nothing_is_left_billing(start: Start, cloud: Cloud) -> None:
    run = start(limits={"boot": "1s", "attempts": 2})
    with pytest.raises(
        ProvisioningError, match=r"2 machines failed: (?s:.*)nothing of this resource bills"
    ) as caught:
        run.acquire()

    assert "node.limits.boot" in str(caught.value)
    assert run.billing == []
    assert len(cloud.made(run.request.owner)) == 2


def test_a_market_without_a_fitting_offer_rents_nothing(start: Start, cloud: Cloud) -> None:
    run = start(max_price=0.01)
    with pytest.raises(NoOffer, match=r"0 fit; not: \d+ dearer than 0.01 \$/h"):
        run.acquire()

    assert cloud.made(run.request.owner) == []


def test_a_leftover_of_an_interrupted_run_is_taken_up(start: Start) -> None:
    run = start()
    [first] = run.acquire()
    [again] = run.acquire()

    assert again.instance.id == first.instance.id
    assert "taking up instance" in run.talk


def test_a_leftover_that_no_longer_fits_is_destroyed_before_another_is_rented(
    start: Start, cloud: Cloud
) -> None:
    run = start()
    [first] = run.acquire()
    fields = {name: getattr(run.request, name) for name in RentRequest.model_fields}
    node = run.request.node.model_copy(update={"disk": 30})
    other = Run(cloud, RentRequest(**{**fields, "node": node}))
    [second] = other.acquire()

    assert second.instance.id != first.instance.id
    assert "destroying leftover instance" in other.talk
    assert run.billing == [second.instance.id]


def test_another_stack_s_machine_is_never_touched(start: Start) -> None:
    mine, theirs = start(), start()
    mine.acquire()
    theirs.acquire()
    release(mine.cloud.api(), [], mine.request.owner)

    assert mine.billing == []
    assert len(theirs.billing) == 1


def test_an_instance_is_adopted_by_its_id_and_started_if_it_was_stopped(start: Start, cloud: Cloud) -> None:
    theirs = start()
    [machine] = theirs.acquire()
    cloud.api()._call("manage", "PUT", f"/api/v0/instances/{machine.instance.id}/", {"state": "stopped"})
    mine = start(adopt=machine.instance.id)
    cloud.api().attach_key(machine.instance.id, mine.request.public_key)
    [found] = mine.acquire()

    assert found.instance.id == machine.instance.id
    assert mine.billing == [machine.instance.id]


def test_an_adopted_instance_that_fails_is_left_as_it_is(start: Start, cloud: Cloud) -> None:
    theirs = start()
    [machine] = theirs.acquire()
    mine = start(adopt=machine.instance.id, disk=5000, limits={"ssh": "1s"})
    with pytest.raises(ProvisioningError, match="It was left as it is and bills"):
        mine.acquire()

    assert theirs.billing == [machine.instance.id]


def test_an_instance_that_is_not_there_cannot_be_adopted(start: Start) -> None:
    with pytest.raises(ProvisioningError, match="this account has no instance 4711"):
        start(adopt=4711).acquire()


def test_a_gang_is_rented_in_one_call_and_a_bad_member_is_replaced(start: Start, cloud: Cloud) -> None:
    bad = first_choice(start()).machine_id
    cloud.ask("POST", f"machines/{bad}/fault", fault="wrong_gpu")
    run = start(count=5)
    machines = run.acquire()
    cloud.ask("POST", f"machines/{bad}/fault", fault=None)

    assert len({machine.instance.id for machine in machines}) == 5
    assert sorted(run.billing) == sorted(machine.instance.id for machine in machines)
    assert bad not in {machine.instance.machine_id for machine in machines}
    assert "renting 5 of 5 machines in one call" in run.talk


@pytest.mark.usefixtures("slow_boots")
def test_a_gang_that_cannot_be_whole_leaves_nothing(start: Start) -> None:
    run = start(count=3, limits={"boot": "1s", "attempts": 1})
    with pytest.raises(ProvisioningError):
        run.acquire()

    assert run.billing == []


def calls_of_a_whole_life(run: Run) -> list[dict[str, Any]]:
    run.cloud.ask("DELETE", "calls")
    run.acquire()
    release(run.cloud.api(), [], run.request.owner)
    return list(run.cloud.ask("GET", "calls")["calls"])


@pytest.mark.usefixtures("quick_boots")
@pytest.mark.parametrize("effect", ["respond", "drop_before", "drop_after", "malformed", "too many"])
def test_a_fault_at_any_call_orphans_nothing_and_rents_nothing_twice(
    effect: str, start: Start, cloud: Cloud
) -> None:
    for nth in range(1, len(calls_of_a_whole_life(start())) + 1):
        run = start()
        order: dict[str, Any] = {"effect": effect, "path": "/api/", "nth": nth, "count": 1}
        if effect == "respond":
            order |= {"status": 502, "body": "bad gateway"}
        if effect == "too many":
            order |= {"effect": "respond", "status": 429, "body": "API requests too frequent"}
        cloud.ask("POST", "fault", **order)
        try:
            run.acquire()
        except FraguaError:
            run.acquire()
        assert len(run.billing) == 1, (effect, nth, run.talk)
        release(cloud.api(), [], run.request.owner)
        cloud.ask("DELETE", "fault")
        assert run.billing == [], (effect, nth)
