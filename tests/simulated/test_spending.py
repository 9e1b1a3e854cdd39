"""What may be spent: nothing beyond what was approved, beyond the balance, or for a bid that does not pay."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rented import Cloud, Run

from components.cost.purchase import OfferClass, Purchase
from components.cost.work import Work
from components.errors import BalanceTooLow, NotApproved, OutOfCredit
from components.vast import bidding
from components.vast.account import Account
from components.vast.lifecycle import Acquisition
from components.vast.machines import BadMachines
from components.vast.status import Status, status
from components.vast.wire import Instance

Start = Callable[..., Run]

LORA = Work(kind="lora", images=20000, saves=10, disk=20, image=8, fetched=10, returned=2, setup=300)
FREE: dict[str, Any] = {"bid": "auto", "internet": {"down": 10, "up": 10}}


def purchase(**changed: Any) -> Purchase:
    return Purchase.model_validate({"work": LORA, **changed})


@pytest.fixture
def credit(cloud: Cloud) -> Iterator[Callable[[float], None]]:
    """Set what is left of the account's credit; enough again afterwards."""
    yield lambda dollars: cloud.ask("POST", "credit", set=dollars)
    cloud.ask("POST", "credit", set=100000)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"approved": 0.01}, r"dearer in all than the 0.01 \$ that were approved .*pulumi preview"),
        ({"max_total": 0.01}, r"dearer in all than budget.max_total, 0.01 \$ .*Raise budget.max_total"),
        ({"hours": 0.1}, r"too slow for the deadline in 0.1 h .*Move budget.deadline"),
        (
            {"classes": [OfferClass(gpu="H100 SXM", max_price=9)]},
            r"of a class that the lock file does not name .*--lock",
        ),
        ({"classes": [OfferClass(gpu="RTX 3090", max_price=0.01)]}, r"the lock file .*--lock"),
    ],
    ids=["approved", "max_total", "deadline", "class", "price of the class"],
)
def test_what_was_not_approved_is_not_rented(limits: dict[str, Any], says: str, start: Start) -> None:
    run = start(purchase=purchase(**limits))
    with pytest.raises(NotApproved, match=says) as caught:
        run.acquire()

    assert re.search(r"\d+ offers fit the node, none what was approved", str(caught.value))
    assert re.search(r"\$/h, [\d.]+ \$ in [\d.]+ h expected", str(caught.value))
    assert run.cloud.made(run.request.owner) == []


def test_only_the_classes_of_a_lock_are_rented(start: Start) -> None:
    run = start(purchase=purchase(classes=[OfferClass(gpu="RTX A6000", max_price=3)]))
    [machine] = run.acquire()

    assert machine.instance.gpu_name == "RTX A6000"


def test_a_balance_that_does_not_cover_the_job_rents_nothing(
    start: Start, credit: Callable[[float], None]
) -> None:
    credit(0.05)
    run = start(purchase=purchase())
    with pytest.raises(BalanceTooLow, match=r"the balance is 0.05 \$, but the job takes .* add at least"):
        run.acquire()

    assert run.cloud.made(run.request.owner) == []


def test_a_machine_that_is_to_be_up_needs_no_more_than_its_first_hour(
    start: Start, credit: Callable[[float], None]
) -> None:
    credit(3)
    run = start(purchase=Purchase(work=Work(kind="up", hours=500, disk=20)))
    run.acquire()

    assert "warning: the balance of 3.00 $ may not last" in run.talk


def test_a_small_balance_is_warned_about(start: Start, credit: Callable[[float], None]) -> None:
    credit(4.5)
    run = start(purchase=Purchase(work=Work(kind="up", hours=1, disk=20)))
    run.acquire()

    assert "warning: the balance is only 4.50 $" in run.talk


def test_a_key_that_may_not_read_the_balance_rents_all_the_same(start: Start, cloud: Cloud) -> None:
    body = {"success": False, "error": "auth_error", "msg": "user_read is missing"}
    cloud.ask("POST", "fault", effect="respond", path="users/current", status=401, body=body)
    run = start()
    run.acquire()

    assert "may not read the account's balance" in run.talk


@pytest.fixture
def _slow(cloud: Cloud) -> Iterator[None]:
    """A boot takes a while."""
    cloud.ask("POST", "clock", scale=1)
    yield
    cloud.ask("POST", "clock", scale=1000)


@pytest.mark.usefixtures("_slow")
def test_credit_that_ends_on_the_way_is_said_and_everything_given_back(
    start: Start, cloud: Cloud, credit: Callable[[float], None]
) -> None:
    run = start()

    def tell(words: str) -> None:
        run.said.append(words)
        if "is billed from now" in words:
            credit(-0.5)

    acquisition = Acquisition(cloud.api(), run.request, BadMachines(cloud.url), tell)
    with pytest.raises(
        OutOfCredit, match=r"credit is used up \(-0.50 \$\)(?s:.*)nothing of this resource bills"
    ):
        acquisition.run()

    assert len(run.cloud.made(run.request.owner)) == 1
    assert run.billing == []


def test_a_machine_that_is_taken_over_is_not_waited_for_without_credit(
    start: Start, cloud: Cloud, credit: Callable[[float], None]
) -> None:
    theirs = start()
    [machine] = theirs.acquire()
    credit(-1)
    with pytest.raises(OutOfCredit, match="add credit"):
        start(adopt=machine.instance.id).acquire()

    assert [found["status"] != "destroyed" for found in cloud.made(theirs.request.owner)] == [True]


@pytest.mark.parametrize("work", [LORA, Work(kind="up", hours=24, disk=20)], ids=["training", "up"])
def test_auto_takes_a_bid_where_that_makes_the_job_cheaper(work: Work, start: Start) -> None:
    run = start(purchase=Purchase(work=work), **FREE)
    [machine] = run.acquire()
    found = machine.instance

    assert found.is_bid
    assert found.min_bid <= found.dph_base
    assert f"for a bid of {found.dph_base:.3f}" in run.talk


def test_an_offer_that_is_gone_is_not_tried_again_in_another_way(start: Start, cloud: Cloud) -> None:
    gone = {"success": False, "error": "no_such_ask", "msg": "error 410/1: no_such_ask"}
    cloud.ask("POST", "fault", effect="respond", path="asks", status=410, body=gone, count=3)
    run = start(purchase=purchase(), **FREE)
    run.acquire()
    tried = re.findall(r"renting offer (\d+)", run.talk)

    assert len(tried) == len(set(tried)) == 4


def test_a_gang_of_auto_is_rented_on_demand(start: Start) -> None:
    machines = start(count=2, purchase=purchase(), **FREE).acquire()

    assert [machine.instance.is_bid for machine in machines] == [False, False]


@pytest.fixture
def bidder(start: Start, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Run, Instance]]:
    """Rent a machine by a bid of auto's."""
    monkeypatch.setattr(bidding, "_POLL", 0.05)

    def rent(**node: Any) -> tuple[Run, Instance]:
        run = start(purchase=purchase(), **{**FREE, **node})
        [machine] = run.acquire()
        assert machine.instance.is_bid
        return run, machine.instance

    return rent


def reconsider(run: Run, instance: Instance, share: float = 1.0) -> bidding.Rebid | None:
    wanted = run.request
    return bidding.reconsider(run.cloud.api(), instance.id, wanted.node, wanted.allowed, share)


def now(run: Run, instance: Instance) -> Instance:
    found = run.cloud.api().instance(instance.id)
    assert found
    return found


Bidder = Callable[..., tuple[Run, Instance]]


def test_a_bid_that_is_watched_needs_less_of_a_margin_and_is_left_then(bidder: Bidder, cloud: Cloud) -> None:
    run, instance = bidder()
    reconsider(run, instance)
    bid = now(run, instance).dph_base

    assert instance.min_bid < bid <= instance.dph_base
    assert reconsider(run, instance) is None
    assert now(run, instance).dph_base == bid


@pytest.fixture
def price(cloud: Cloud) -> Iterator[Callable[[float], None]]:
    """Multiply all prices; they are what they were afterwards."""
    factors: list[float] = []

    def multiply(factor: float) -> None:
        factors.append(factor)
        cloud.ask("POST", "price", multiply=factor)

    yield multiply
    for factor in factors:
        cloud.ask("POST", "price", multiply=1 / factor)


def test_a_bid_that_wins_follows_the_market_both_ways(
    bidder: Bidder, cloud: Cloud, price: Callable[[float], None]
) -> None:
    run, instance = bidder()
    price(0.5)
    lowered = reconsider(run, instance)
    after = now(run, instance)
    price(1.08)
    raised = reconsider(run, instance)

    assert lowered
    assert "bid lowered from" in lowered.why
    assert after.min_bid < after.dph_base < instance.dph_base
    assert raised
    assert "bid raised from" in raised.why
    assert now(run, instance).dph_base > after.dph_base
    assert status(now(run, instance)) is Status.RUNNING


def test_near_its_end_an_outbid_job_goes_on_for_a_higher_bid(bidder: Bidder, cloud: Cloud) -> None:
    run, instance = bidder()
    cloud.ask("POST", f"instances/{instance.id}/outbid")
    assert status(now(run, instance)) is Status.OUTBID
    done = reconsider(run, instance, share=0.02)

    assert done
    assert re.search(r"bid raised from [\d.]+ to [\d.]+ \$/h, .* \$ here, [\d.]+ \$ anew elsewhere", done.why)
    after = now(run, instance)
    assert status(after) is not Status.OUTBID
    assert after.dph_base >= after.min_bid > instance.dph_base
    assert done.rate == pytest.approx(after.dph_total, abs=1e-4)


def test_at_its_beginning_an_outbid_job_is_begun_anew_where_that_is_cheaper(
    bidder: Bidder, cloud: Cloud
) -> None:
    run, instance = bidder()
    for _ in range(4):  # 1.25 times as dear each
        cloud.ask("POST", f"instances/{instance.id}/outbid")
        cloud.api().change_bid(instance.id, now(run, instance).min_bid)
    cloud.ask("POST", f"instances/{instance.id}/outbid")
    bid = now(run, instance).dph_base

    assert reconsider(run, instance) is None
    assert now(run, instance).dph_base == bid


def test_no_bid_is_raised_above_what_an_hour_may_cost(bidder: Bidder, cloud: Cloud) -> None:
    run, instance = bidder()
    run.request = run.request.model_copy(
        update={"node": run.request.node.model_copy(update={"max_price": instance.dph_total * 1.1})}
    )
    cloud.ask("POST", f"instances/{instance.id}/outbid")

    assert reconsider(run, instance, share=0.02) is None


def test_a_fixed_bid_is_never_raised(start: Start, cloud: Cloud) -> None:
    run = start(purchase=purchase(), **{**FREE, "bid": 1.0})
    [machine] = run.acquire()
    cloud.ask("POST", f"instances/{machine.instance.id}/outbid")

    assert reconsider(run, machine.instance, share=0.02) is None


def test_a_fault_while_a_bid_is_raised_raises_it_once_or_not_at_all(bidder: Bidder, cloud: Cloud) -> None:
    run, instance = bidder()
    bad_gateway = {"effect": "respond", "status": 502, "body": "bad gateway"}
    faults: list[tuple[str, dict[str, Any]]] = [
        ("instances/", bad_gateway),
        ("bundles", bad_gateway),
        ("bid_price", bad_gateway),
        ("bid_price", {"effect": "drop_before"}),
        ("bid_price", {"effect": "drop_after"}),
        ("bid_price", {"effect": "malformed"}),
    ]
    for path, order in faults:
        cloud.ask("POST", f"instances/{instance.id}/outbid")
        cloud.ask("POST", "fault", path=path, count=1, **order)
        done = reconsider(run, instance, share=0.02)

        assert done, (path, order)
        assert now(run, instance).dph_base < 3 * instance.dph_base, (path, order)
        cloud.ask("DELETE", "fault")
        cloud.ask("POST", f"instances/{instance.id}/restore")
        cloud.api().change_bid(instance.id, instance.dph_base)
    assert run.billing == [instance.id]


def test_the_account_raises_by_what_the_state_says_and_reads_the_new_bid(
    bidder: Bidder, cloud: Cloud
) -> None:
    run, instance = bidder()
    account = Account({"vast:baseUrl": cloud.url, "vast:apiKey": cloud.api_key}.get)
    state = {
        "instance_id": float(instance.id),
        "interruptible": True,
        "node": run.request.node.model_dump(mode="json", exclude_defaults=True),
        "purchase": run.request.allowed.model_dump(mode="json", exclude_defaults=True),
        "host": "127.0.0.1",
        "port": 22,
    }
    cloud.ask("POST", f"instances/{instance.id}/outbid")
    assert account.reconsider(state, 0.02)
    read = account.read(instance.id, {**state, "status": "running", "price": 0.1, "ports": {}})

    assert read
    assert read["interruptible"]
    assert read["bid"] == now(run, instance).dph_base
    assert read["rented"] == pytest.approx(now(run, instance).start_date)
    assert account.reconsider({**state, "purchase": None}, 0.02) is None
