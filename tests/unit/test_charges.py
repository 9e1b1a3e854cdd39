"""What is billed, by what it is for and for whom."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_models import instance

from components.vast.charges import Owner, Sums, bill, clock, rate, spent
from components.vast.wire import Charge

amounts = st.floats(0, 1000).map(lambda value: round(value, 6))
charges = st.lists(
    st.builds(
        lambda source, label, items, more: charge(source, items, sum(items.values()) + more, label),
        st.sampled_from(["instance-1", "instance-2", "instance-3", "volume-1", "serverless-x", None]),
        st.sampled_from([None, "", "mine", "train/node fragua:aaaaaaaa:bbbbbbbb:cccccccc"]),
        st.dictionaries(st.sampled_from(["gpu", "disk", "bwd", "bwu", "tax"]), amounts),
        amounts,
    ),
    max_size=8,
)
owners = st.dictionaries(st.integers(1, 3), st.sampled_from([Owner("train", "a"), Owner("infer")]))


def charge(source: str | None, items: dict[str, float], amount: float, label: str | None = None) -> Charge:
    rows = [{"type": name, "amount": value} for name, value in items.items()]
    return Charge.model_validate(
        {"source": source, "amount": amount, "items": rows, "metadata": {"label": label}}
    )


@given(charges, owners)
def test_a_bill_is_the_sum_of_its_charges_and_names_each_owner_once(
    rows: list[Charge], known: dict[int, Owner]
) -> None:
    lines = bill(rows, known)

    assert sum(line.sums.total for line in lines) == pytest.approx(sum(row.amount for row in rows))
    assert len({line.owner for line in lines}) == len(lines)
    assert not any(line.owner is None for line in lines[:-1])


@given(charges, owners)
def test_what_has_no_owner_and_no_label_is_one_line(rows: list[Charge], known: dict[int, Owner]) -> None:
    strange = [row for row in rows if row.instance not in known and "fragua:" not in row.label]

    others = [line for line in bill(rows, known) if line.owner is None]

    assert len(others) == bool(strange)
    assert sum(line.sums.total for line in others) == pytest.approx(sum(row.amount for row in strange))


def test_days_of_one_instance_are_added_up_by_kind() -> None:
    first = charge("instance-1", {"gpu": 1.0, "bwd": 0.25}, 1.25)
    second = charge("instance-1", {"gpu": 2.0, "disk": 0.5, "bwu": 0.125}, 2.625)

    [line] = bill([first, second], {1: Owner("train", "cat")})

    assert line.sums == Sums(gpu=3, disk=0.5, down=0.25, up=0.125)
    assert spent([first, second]) == {1: 3.875}


def test_a_charge_without_items_is_not_lost() -> None:
    assert Sums.of(charge("instance-1", {}, 0.5)) == Sums(other=0.5)


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ("running", 0.5), ("frozen", 0.5), ("unknown", 0.5), ("rebooting", 0.5),
        (None, 0.02), ("created", 0.02), ("loading", 0.02), ("stopped", 0.02), ("exited", 0.02),
        ("offline", 0.0),
    ],
)  # fmt: skip
def test_a_state_bills_what_is_documented_and_all_where_nothing_is(
    actual: str | None, expected: float
) -> None:
    found: Any = instance(actual_status=actual, dph_total=0.5, storage_cost=0.144, disk_space=100)

    assert rate(found) == pytest.approx(expected)


def test_the_clock_is_the_later_one() -> None:
    ahead = instance(end_date=2000.0, duration=500.0)

    assert clock([ahead], here=1000.0) == 1500.0
    assert clock([ahead], here=1600.0) == 1600.0
    assert clock([instance()], here=1600.0) == 1600.0
