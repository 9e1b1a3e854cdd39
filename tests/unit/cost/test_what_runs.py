"""What a machine that is there costs: the hour that it bills, disk and traffic told apart."""

from typing import Any

import pytest
from cost_models import TRAININGS, numbers, work
from hypothesis import given
from hypothesis import strategies as st
from unit_models import node

from components.cost.experience import Experience
from components.cost.terms import HOURS_PER_MONTH
from components.cost.work import Work
from components.spec.budget import Budget
from components.stacks.asked import Asked
from components.stacks.pricing import there

GB = 60.0


def machine(gpus: float, storage: float, bid: float | None = None, **more: Any) -> dict[str, Any]:
    return {
        "gpu": "RTX 4090",
        "gpu_count": 1.0,
        "status": "running",
        "price": gpus + storage * GB / HOURS_PER_MONTH,
        "storage_cost": storage,
        "bid": bid,
        "interruptible": bid is not None,
        **more,
    }


def asked(work: Work, bid: float | str | None = None) -> Asked:
    return Asked(node(disk=GB, bid=bid), Budget(), work.model_copy(update={"disk": GB}))


@given(TRAININGS, numbers(0.01, 2), numbers(0, 3), st.booleans(), numbers(0, 1), numbers(0, 1))
def test_disk_and_traffic_are_told_apart_from_the_hour(
    work: Work, gpus: float, storage: float, bids: bool, up_cost: float, down_cost: float
) -> None:
    found = machine(gpus, storage, gpus if bids else None, up_cost=up_cost, down_cost=down_cost)
    terms, taken = there(asked(work, "auto" if bids else None), [found], Experience())
    dollars = {part.name: part.dollars for part in taken.parts}

    assert terms.interruptible is bids
    assert taken.rate == pytest.approx(found["price"])
    assert terms.price == pytest.approx(gpus)
    assert dollars["disk"] == pytest.approx(storage * GB / HOURS_PER_MONTH * taken.hours, rel=1e-6, abs=1e-9)
    assert dollars["traffic out"] == pytest.approx(work.returned * up_cost)
    assert dollars["traffic in"] >= (work.fetched + work.sent) * down_cost - 1e-9


@given(TRAININGS, numbers(0.01, 2), st.booleans())
def test_a_state_of_an_earlier_version_tells_the_hour_alone(work: Work, price: float, bids: bool) -> None:
    found = machine(price, 0, interruptible=bids)
    del found["storage_cost"], found["bid"]
    _, taken = there(asked(work, "auto" if bids else None), [found], Experience())

    assert taken.rate == pytest.approx(price)


@given(numbers(0.01, 1), numbers(1.01, 2), numbers(0, 1))
def test_a_raised_bid_costs_more_by_the_hour_and_is_lost_less_often(
    bid: float, times: float, storage: float
) -> None:
    before, then = (
        there(asked(work(), each), [machine(bid, storage, bid)], Experience())[1]
        for each in (bid, bid * times)
    )

    assert then.rate - before.rate == pytest.approx(bid * (times - 1))
    assert then.losses < before.losses


def test_what_wins_is_known_only_of_a_machine_that_runs() -> None:
    lost = machine(0.3, 0.1, 0.3, status="outbid")

    assert there(asked(work(), 0.6), [lost], Experience())[0].min_bid == 0.6
    assert there(asked(work(), 0.6), [machine(0.3, 0.1, 0.3)], Experience())[0].min_bid == 0.3


def test_several_machines_cost_their_mean() -> None:
    _, taken = there(asked(work()), [machine(0.2, 0.1), machine(0.4, 0.1)], Experience())

    assert taken.rate == pytest.approx(0.3 + 0.1 * GB / HOURS_PER_MONTH)
