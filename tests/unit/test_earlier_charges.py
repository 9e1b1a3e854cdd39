"""What the machines that a resource had cost: charged already, charged late, or never told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import NotApproved
from components.vast.charges import earlier
from components.vast.earlier import Earlier, told
from components.vast.machines import Gone
from components.vast.wire import Charge

OWNER = "fragua:aaaaaaaa:bbbbbbbb:"
LABEL = f"train/node {OWNER}cccccccc"
OTHER = "train/node-2 fragua:aaaaaaaa:dddddddd:cccccccc"
HOUR, DAY = 3600, 86400
NOW = 1_800_000_000.0


def row(instance: int, amount: float, end: float, label: str | None = LABEL) -> Charge:
    return Charge.model_validate(
        {"source": f"instance-{instance}", "amount": amount, "end": end, "metadata": {"label": label}}
    )


def gone(rented: float, until: float, instance: int = 1) -> Gone:
    """Return a machine at 1 $/h; its times are in hours before now."""
    return Gone(instance, 1.0, NOW - rented * HOUR, NOW - until * HOUR)


def test_what_was_charged_counts_for_the_resource_s_own_machines_only() -> None:
    rows = [row(1, 2.0, NOW - 3 * DAY), row(1, 0.5, NOW - 2 * DAY), row(2, 1.0, NOW), row(3, 9.0, NOW, OTHER)]

    assert earlier(rows, [], OWNER, NOW) == {1: 2.5, 2: 1.0}


@pytest.mark.parametrize(
    ("charged", "ended", "machine", "expected"),
    [
        pytest.param(None, 0, gone(5, 2), 3.0, id="nothing charged yet"),
        pytest.param(1.0, 4, gone(5, 2), 3.0, id="charged up to two hours before it was gone"),
        pytest.param(3.0, 2, gone(5, 2), 3.0, id="charged to its end"),
        pytest.param(4.0, 71, gone(75, 0), 4.0, id="ended three days before anybody looked"),
        pytest.param(4.0, 23, gone(75, 0), 27.0, id="ended a day before, or charged late"),
        pytest.param(4.0, -1, gone(5, 2), 4.0, id="charged for more than was known"),
        pytest.param(2.5, 5, gone(5, 2), 3.0, id="the row says nothing of its end but the day"),
        pytest.param(2.5, NOW / HOUR, gone(5, 2), 3.0, id="the row says nothing of its end"),
        pytest.param(1.0, -20, gone(5, 2), 3.0, id="charged for a day that is not over, late"),
        pytest.param(1.0, -20, gone(75, 2), 3.0, id="likewise, and stopped before"),
        pytest.param(
            -1.0, 30, gone(75, 30), 0.0, id="given back more than was charged in the time looked at"
        ),
    ],
)
def test_what_may_not_be_charged_yet_counts_at_the_machine_s_price(
    charged: float | None, ended: float, machine: Gone, expected: float
) -> None:
    rows = [] if charged is None else [row(1, charged, NOW - ended * HOUR)]

    assert earlier(rows, [machine], OWNER, NOW) == {1: pytest.approx(expected)}


def test_a_charge_that_lost_its_label_counts_for_a_machine_that_is_known_here() -> None:
    assert earlier([row(1, 2.0, NOW - 2 * HOUR, None)], [gone(5, 2)], OWNER, NOW) == {1: 2.0}
    assert earlier([row(1, 2.0, NOW - 2 * HOUR, None)], [], OWNER, NOW) == {}


hours = st.floats(0, 500)
rows: Any = st.lists(st.builds(lambda n, a, h: row(n, a, NOW - h * HOUR), st.integers(1, 3), hours, hours))
machines = st.lists(
    st.builds(lambda n, a, b: gone(max(a, b), min(a, b), n), st.integers(1, 3), hours, hours),
    unique_by=lambda each: each.instance,
)


@given(rows, machines)
def test_no_machine_counts_less_than_was_charged_nor_more_than_that_or_its_time(
    charged: list[Charge], known: list[Gone]
) -> None:
    found = earlier(charged, known, OWNER, NOW)

    assert found.keys() == {each.instance for each in charged} | {each.instance for each in known}
    for instance, dollars in found.items():
        told = sum(each.amount for each in charged if each.instance == instance)
        lasted = sum((each.until - each.rented) / HOUR for each in known if each.instance == instance)
        assert told <= dollars <= max(told, lasted) + 1e-6


def test_machines_side_by_side_are_told_their_share() -> None:
    found = Earlier({7: 2.0})
    assert told(found, 9, 3) == [
        "2.00 $ were spent by instance 7 (2.00 $), of the 3.00 $ of budget.max_total for each of 3 machines"
    ]
    with pytest.raises(NotApproved, match=r"nothing is left of 2.00 \$ for each of 3 machines: 2.00 \$ were"):
        told(found, 6, 3)


def test_a_ceiling_below_a_cent_is_not_spent_by_nobody() -> None:
    assert told(Earlier({}), 0.001) == []
