"""What was approved and `max_total` hold after everything that changes on a machine that runs."""

from collections.abc import Callable
from typing import Any

import pytest
from rented import Cloud, Run

from components.cost.purchase import OfferClass, Purchase
from components.cost.work import Work
from components.errors import RemoteError, Unreachable
from components.remote.shell import Login
from components.vast import account as accounts
from components.vast import bidding, outputs, renewal
from components.vast.account import Account
from components.vast.lease import Lease, LeaseStatus
from components.vast.wire import Instance

Start = Callable[..., Run]
Props = dict[str, Any]

LORA = Work(kind="lora", images=20000, saves=10, disk=20, image=8, fetched=10, returned=2, setup=300)
HELD = {"max_total": 1.0, "lease": 36000.0, "idle": 0.0}


def login(machine: Props) -> Login:
    return Login.of(machine)


def lease(machine: Props) -> LeaseStatus:
    found = renewal.look(login(machine), patience=30)
    assert found is not None
    return found


def hourly(machine: Props) -> float:
    """$/h that the machine's watchdog counts."""
    found = lease(machine)
    assert found.left is not None
    return (HELD["max_total"] - found.used) / found.left * 3600


@pytest.fixture
def account(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(bidding, "_POLL", 0.05)
    return Account({"vast:baseUrl": cloud.url, "vast:apiKey": cloud.api_key}.get)


@pytest.fixture
def rent(start: Start) -> Callable[..., Props]:
    """Rent a machine whose dollars are limited, and return its resource's properties."""

    def rented(bid: float | str, **more: Any) -> Props:
        purchase = Purchase.model_validate({"work": LORA, **more})
        run = start(bid=bid, internet={"down": 10, "up": 10}, purchase=purchase)
        run.request = run.request.model_copy(update={"lease": Lease.model_validate(HELD)})
        [machine] = run.acquire()
        asked = run.request
        return {
            "stack": asked.stack,
            "name": asked.name,
            "node": asked.node.model_dump(mode="json", exclude_defaults=True),
            "public_key": asked.public_key,
            "private_key": asked.private_key.get_secret_value(),
            "purchase": asked.allowed.model_dump(mode="json", exclude_defaults=True),
            "lease": HELD,
            **outputs.outputs(machine),
        }

    return rented


def now(cloud: Cloud, machine: Props) -> Instance:
    found = cloud.api().instance(int(machine["instance_id"]))
    assert found
    return found


def with_bid(machine: Props, bid: float) -> Props:
    return {**machine, "node": {**machine["node"], "bid": bid}}


def test_traffic_stays_set_aside_and_the_price_told_through_a_new_limit_and_a_new_bid(
    rent: Callable[..., Props], account: Account, cloud: Cloud
) -> None:
    machine = rent(1.0)
    traffic = lease(machine).used - lease(machine).spent
    assert traffic > 0
    assert hourly(machine) == pytest.approx(machine["price"], abs=1e-4)

    news = with_bid(machine, 1.5)
    changed = account.change(machine, machine, news)
    assert changed["price"] == pytest.approx(now(cloud, machine).dph_total, abs=1e-6)
    assert changed["price"] == pytest.approx(machine["price"] + 0.5, abs=1e-6)
    assert changed["bid"] == now(cloud, machine).dph_base == 1.5
    assert hourly(machine) == pytest.approx(changed["price"], abs=1e-4)

    account.renew(changed, {**news, "lease": {**HELD, "max_time": 90000.0}})
    found = lease(machine)
    assert hourly(machine) == pytest.approx(changed["price"], abs=1e-4)
    assert found.used - found.spent == pytest.approx(traffic, abs=1e-9)

    lowered = account.change({**news, **changed}, news, machine)
    assert hourly(machine) == pytest.approx(lowered["price"], abs=1e-4)
    assert lowered["price"] == pytest.approx(machine["price"], abs=1e-6)


def test_a_bid_that_its_watchdog_was_not_told_of_is_not_raised(
    rent: Callable[..., Props], account: Account, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "PATIENCE", 0)
    machine = {**rent(1.0), "port": 1}
    with pytest.raises(RemoteError):
        account.change(machine, machine, with_bid(machine, 1.5))

    assert now(cloud, machine).dph_base == 1.0


def test_a_bid_on_a_machine_of_before_there_were_leases_is_changed_all_the_same(
    rent: Callable[..., Props], account: Account, cloud: Cloud
) -> None:
    machine = {**rent(1.0), "port": 1, "lease": None}

    assert account.change(machine, machine, with_bid(machine, 1.5))["bid"] == 1.5
    assert now(cloud, machine).dph_base == 1.5


def outbid(cloud: Cloud, machine: Props) -> float:
    """Outbid the machine; return its bid."""
    cloud.ask("POST", f"instances/{machine['instance_id']:.0f}/outbid")
    return now(cloud, machine).dph_base


def limited(machine: Props, **limits: Any) -> Props:
    return {**machine, "purchase": {**machine["purchase"], **limits}}


def test_an_outbid_machine_is_left_where_going_on_is_dearer_than_was_approved(
    rent: Callable[..., Props], account: Account, cloud: Cloud
) -> None:
    machine = rent("auto")
    bid = outbid(cloud, machine)
    gpu: Props = {"gpu": machine["gpu"], "gpus": machine["gpu_count"]}
    most = machine["price"] * 1.05
    refused: list[tuple[Props, float]] = [
        ({"classes": [OfferClass(**gpu, interruptible=True, max_price=most).model_dump()]}, 0),
        ({"classes": [OfferClass(**gpu, interruptible=False, max_price=9).model_dump()]}, 0),
        ({"classes": [OfferClass(gpu="H100 SXM", max_price=9).model_dump()]}, 0),
        ({"approved": 1.0}, 1.0),
        ({"max_total": 1.0}, 1.0),
        ({"approved": 0.001}, 0),
    ]
    for limits, spent in refused:
        assert account.reconsider(limited(machine, **limits), 0.02, spent) is None, limits
        assert now(cloud, machine).dph_base == bid

    dear = OfferClass(**gpu, interruptible=True, max_price=machine["price"] * 3).model_dump()
    done = account.reconsider(limited(machine, classes=[dear], approved=1.0, max_total=1.0), 0.02, 0.5)
    assert done
    assert done.rate == pytest.approx(now(cloud, machine).dph_total, abs=1e-4)
    assert done.rate <= dear["max_price"]


def test_a_bid_that_wins_is_raised_only_after_its_watchdog_was_told(
    rent: Callable[..., Props], account: Account, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = rent("auto")
    cloud.api().change_bid(int(machine["instance_id"]), now(cloud, machine).min_bid + 0.001)
    before = now(cloud, machine).dph_base
    told: list[float] = []

    def tell(_: Login, limits: str, *, rate: float, **__: object) -> None:
        assert not limits
        told.append(rate)
        if len(told) == 1:
            raise Unreachable("it does not answer")
        assert now(cloud, machine).dph_base == before

    monkeypatch.setattr(accounts, "renew", tell)
    with pytest.raises(Unreachable):
        account.reconsider(machine, 1.0)
    assert now(cloud, machine).dph_base == before
    assert account.reconsider(limited(machine, max_total=1.0), 1.0, 1.0) is None
    done = account.reconsider(machine, 1.0)

    assert done
    assert told == [done.rate, done.rate]
    assert now(cloud, machine).dph_base > before
