"""What a budget makes of a lease, that it always fits a container's first script, and what is read of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from unit_models import node

from components.kohya.training import name_of
from components.spec.budget import Budget
from components.vast.lease import POLL, Lease, parse_status, start_script
from components.vast.request import RentRequest

SECONDS = st.one_of(st.just(0), st.floats(1, 30 * 86400))
LEASES = st.builds(
    Lease,
    lease=SECONDS,
    idle=SECONDS,
    max_time=SECONDS,
    max_total=st.floats(0, 100_000),
    at_end=st.just("destroy"),
)


@given(LEASES, st.floats(0, 128), st.text("abcxyz0189-.:/", max_size=60))
def test_vast_takes_it_with_what_a_container_runs_besides(wanted: Lease, rate: float, url: str) -> None:
    assert len(start_script(wanted.limits(), f"https://{url}", rate, 99_999, 99_999)) <= 3950  # of 4096


@given(LEASES)
def test_it_looks_often_enough_for_its_shortest_limit(wanted: Lease) -> None:
    said = dict(word.split("=") for word in wanted.limits().split())
    shortest = min([each for each in (wanted.lease, wanted.idle, wanted.max_time) if each], default=1e9)

    assert 1 <= int(said["poll"]) <= min(POLL, max(1, shortest / 4))
    assert all(value.isdigit() for name, value in said.items() if name != "at_end")


@given(LEASES)
def test_a_container_starts_its_watchdog_before_anything_else(held: Lease) -> None:
    asked = RentRequest(stack="s", name="node", node=node(), public_key="k", private_key=SecretStr("p"))
    script = start_script(held.limits(), "https://console.vast.ai", 1.5)
    body = asked.body(first=script)

    assert body["onstart"].startswith(script)
    assert len(body["onstart"]) <= 4096


def test_a_budget_that_says_nothing_ends_what_is_forgotten() -> None:
    assert Lease.of(Budget()) == Lease()
    assert Lease().model_dump(exclude_defaults=True) == {}


def test_a_budget_says_what_ends_a_machine() -> None:
    budget = Budget.model_validate(
        {"lease": "off", "idle": "30m", "max_time": "8h", "max_total": 12, "at_end": "destroy"}
    )

    assert Lease.of(budget) == Lease(lease=0, idle=1800, max_time=8 * 3600, max_total=12, at_end="destroy")


def test_a_budget_that_is_next_to_nothing_is_not_boundless() -> None:
    assert "budget=1 " in Lease(max_total=1e-12).limits()


def test_a_budget_that_traffic_eats_up_is_spent() -> None:
    found = parse_status(f"{Lease(max_total=1).limits()}\nrate=500000 aside=7200000000 alive=1\n")

    assert found is not None
    assert (found.left, found.by, found.used) == (0, "max_total", 2)


def test_the_watchdog_knows_trainings_by_the_names_that_they_have() -> None:
    assert name_of("RUN", 3) == "train-RUN-3"
    assert "/train-*/" in start_script("", "")


def test_a_machine_of_before_there_were_leases_has_none() -> None:
    assert parse_status("") is None


def test_a_watchdog_that_has_not_looked_yet_has_counted_nothing() -> None:
    found = parse_status(f"{Lease(max_total=1).limits()}\nrate=500000 alive=1\n")

    assert found is not None
    assert (found.age, found.spent, found.left, found.by, found.ended) == (0, 0, 3600, "idle", "")


@pytest.mark.parametrize(
    ("limit", "later", "over"),
    [
        ({"max_time": 7200}, 3600, ""),
        ({"max_time": 7200}, 7200 - 2 * POLL, "max_time"),
        ({"max_total": 1}, 7200, "max_total"),
        ({"lease": 7200}, 9999, ""),
        ({}, 9999, ""),
    ],
)
def test_a_machine_is_lost_to_a_ceiling_where_one_was_due(
    limit: dict[str, float], later: float, over: str
) -> None:
    wanted = Lease(lease=0, idle=0).model_copy(update=limit)
    found = parse_status(f"{wanted.limits()}\nrate=500000 alive=1\n")

    assert found is not None
    assert found.over(later) == over


def test_each_of_several_machines_may_cost_its_share() -> None:
    assert Lease.of(Budget(max_total=12), machines=3).max_total == 4
