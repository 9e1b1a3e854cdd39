"""While a training is followed, its machine's bid follows the market, and its lease the bid."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rented import Cloud, Run

from cli import bids
from components.cost.purchase import Purchase
from components.cost.work import Work

LORA = Work(kind="lora", images=20000, saves=10, disk=20, image=8, fetched=10, returned=2, setup=300)


@pytest.fixture
def machine(start: Callable[..., Run], cloud: Cloud) -> dict[str, Any]:
    """The outputs of a machine that was rented by a bid of auto's."""
    run = start(bid="auto", internet={"down": 10, "up": 10}, purchase=Purchase(work=LORA))
    [rented] = run.acquire()
    assert rented.instance.is_bid
    return {
        "instance_id": float(rented.instance.id),
        "interruptible": True,
        "node": run.request.node.model_dump(mode="json", exclude_defaults=True),
        "purchase": {"work": LORA.model_dump(mode="json", exclude_defaults=True)},
        "lease": {"max_total": 2.0},
        "price": rented.instance.dph_total,
        "url": cloud.url,
    }


@pytest.fixture
def followed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> bids.Bids:
    """The bids of a stack with the simulator's key, looked at without a pause."""
    monkeypatch.setattr(bids, "_EVERY", 0.0)
    values = {"vast:baseUrl": cloud.url, "vast:apiKey": cloud.api_key}
    config = {name: SimpleNamespace(value=value) for name, value in values.items()}
    return bids.Bids(SimpleNamespace(get_all_config=lambda: config))  # type: ignore[arg-type]


def heard(followed: bids.Bids, machine: dict[str, Any]) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if said := followed.look(machine, 0.5):
            return said
        time.sleep(0.02)
    pytest.fail("nothing was said")


def test_a_bid_and_its_lease_follow_the_market(
    followed: bids.Bids, machine: dict[str, Any], cloud: Cloud
) -> None:
    assert followed.changed(machine) is None
    cloud.ask("POST", "price", multiply=0.5)
    said = heard(followed, machine)
    cloud.ask("POST", "price", multiply=2)

    assert "bid lowered from" in said
    instance = cloud.api().instance(int(machine["instance_id"]))
    assert instance
    assert followed.rate(machine) == pytest.approx(instance.dph_total, abs=1e-4)
    assert followed.rate(machine) < machine["price"]
    assert followed.changed(machine) == followed.rate(machine)
    assert followed.changed({**machine, "instance_id": 1.0}) is None, "another machine has its own price"


def test_an_outbid_machine_is_rescued_at_once(
    followed: bids.Bids, machine: dict[str, Any], cloud: Cloud
) -> None:
    cloud.ask("POST", f"instances/{machine['instance_id']:.0f}/outbid")

    assert "bid raised from" in (followed.rescue(machine, 0.02) or "")


def test_a_market_that_does_not_answer_is_said_and_nothing_fails(
    followed: bids.Bids, machine: dict[str, Any], cloud: Cloud
) -> None:
    cloud.ask("POST", "fault", effect="respond", path="instances/", status=400, body={"msg": "no"}, count=1)

    assert heard(followed, machine).startswith("the bid was not looked at: Vast.ai refused GET")


@pytest.mark.parametrize("change", [{"interruptible": False}, {"node": {"bid": 0.5}}, {"node": {}}], ids=str)
def test_a_machine_that_auto_did_not_bid_for_is_left(
    change: dict[str, Any], followed: bids.Bids, machine: dict[str, Any], cloud: Cloud
) -> None:
    cloud.ask("DELETE", "calls")

    assert followed.rescue({**machine, **change}, 0.5) is None
    assert followed.look({**machine, **change}, 0.5) is None
    assert cloud.ask("GET", "calls")["total"] == 0
