"""What is shown is what is approved, whatever the market; and what identifies a job does not depend on it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cost_models import terms, work
from hypothesis import given
from hypothesis import strategies as st
from unit_models import node

from components.cost.estimate import estimate
from components.cost.experience import Experience
from components.cost.purchase import Purchase
from components.cost.quote import Quote, digest, restored
from components.cost.quoting import bound, quote
from components.spec.budget import Budget
from components.stacks.lock import Lock

PRICES = st.lists(
    st.tuples(
        st.sampled_from(["RTX 4090", "RTX 3090", "A100 SXM4"]),
        st.booleans(),
        st.floats(0.01, 20),
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=12,
)


def found(prices: list[tuple[str, bool, float, float]]) -> list[Any]:
    every = [
        terms(gpu=gpu, price=price, min_bid=price if bid else None, storage=storage)
        for gpu, bid, price, storage in prices
    ]
    return sorted(((each, estimate(work(), each)) for each in every), key=lambda pair: pair[1].total)


def quoted(every: list[Any], budget: Budget | None = None, **more: Any) -> Quote:
    values = {"digest": "d", "when": 0, "source": "market", **more}
    return quote(every, budget or Budget(), work(), **values)


@given(PRICES, st.floats(0, 2), st.integers(1, 16))
def test_what_is_shown_may_be_rented(
    prices: list[tuple[str, bool, float, float]], slack: float, machines: int
) -> None:
    every = found(prices)
    shown = quoted(every, Budget(slack=slack), machines=machines)
    assert shown.ceiling is not None
    purchase = Purchase(work=work(), approved=shown.ceiling / machines)

    assert purchase.refusal(*every[0]) == ""
    assert shown.ceiling <= every[0][1].total * machines * (1 + slack) + 0.00011


OFFERS = st.lists(st.tuples(PRICES.map(lambda prices: prices[0]), st.integers(1, 6)), min_size=1, max_size=14)


@given(OFFERS, st.floats(0, 2), st.integers(1, 6), st.integers(0, 2))
def test_machines_cost_what_the_cheapest_offers_do_each_once(
    ways: list[tuple[tuple[str, bool, float, float], int]], slack: float, machines: int, there: int
) -> None:
    every = found([way for way, _ in ways])
    ids = [number for _, number in ways]
    kept = every[-1:] * min(there, machines - 1)
    shown = quoted(every, Budget(slack=slack), offers=ids, machines=machines, kept=kept)
    once = [way for place, way in enumerate(every) if ids[place] not in ids[:place]][: machines - len(kept)]
    missing = machines - len(kept) - len(once)
    totals = [taken.total for _, taken in (*kept, *once, *once[-1:] * missing)]
    assert shown.ceiling is not None
    purchase = Purchase(work=work(), approved=shown.ceiling / machines)
    locked = Purchase(work=work(), approved=shown.ceiling / machines, classes=Lock.of(shown).classes)

    assert shown.missing == missing
    assert any("`up` will rent nothing" in each for each in shown.warnings) is (missing > 0)
    assert shown.total == pytest.approx(sum(totals), abs=0.0001 * machines)
    assert sum(each.machines for each in shown.fleet) == machines
    assert restored(shown.outputs()).total == pytest.approx(shown.total, abs=0.0001)
    for way in once:
        assert purchase.refusal(*way) == locked.refusal(*way) == ""
    assert purchase.allows(shown.dearest)
    assert shown.ceiling <= once[-1][1].total * machines * (1 + slack) + 0.00011


def test_all_machines_could_be_of_another_class_only_where_it_has_as_many_offers() -> None:
    few, many = [("RTX 4090", False, 0.4, 0.1)], [("RTX 3090", False, 0.5, 0.1)] * 3
    every = found([*few, *[("A100 SXM4", False, price, 0.1) for price in (9, 10)], *many])
    told = [
        (each.gpu, each.machines) for each in quoted(every, offers=[1, 2, 3, 4, 5, 6], machines=3).options
    ]

    assert told == [("RTX 4090", 1), ("RTX 3090", 2)]
    assert [(each.gpu, each.machines) for each in quoted(every, offers=range(6), machines=1).options] == [
        ("RTX 4090", 1),
        ("RTX 3090", 0),
        ("A100 SXM4", 0),
    ]


def test_what_machines_take_until_they_were_up_for_an_hour_is_bounded() -> None:
    day, hour = (work(kind="up", images=0, hours=hours) for hours in (24, 1))
    shown = quoted([(terms(), estimate(day, terms()))], machines=3)
    first = estimate(hour, terms()).total

    assert 3 * first <= shown.begun(24) <= 3.5 * first


@given(PRICES)
def test_each_class_is_shown_once_and_by_its_cheapest(prices: list[tuple[str, bool, float, float]]) -> None:
    every = found(prices)
    shown = quoted(every)
    totals = [option.total for option in shown.options]
    classes = [(option.gpu, option.interruptible) for option in shown.options]

    assert totals == sorted(totals)
    assert len(set(classes)) == len(classes)
    for option in shown.options:
        alike = [
            taken.total
            for each, taken in every
            if (each.gpu, each.interruptible) == (option.gpu, option.interruptible)
        ]
        assert option.total == pytest.approx(min(alike), abs=0.0001)


@given(PRICES, st.integers(1, 5))
def test_a_stack_s_output_tells_the_quote_again(
    prices: list[tuple[str, bool, float, float]], machines: int
) -> None:
    shown = quoted(found(prices), machines=machines)
    again = restored(shown.outputs())

    assert (again.digest, again.machines, again.ceiling) == (shown.digest, machines, shown.ceiling)
    assert (again.total, again.p90) == pytest.approx((shown.total, shown.p90), abs=0.0001)
    assert again.options[0].name == shown.options[0].name


def test_a_market_with_nothing_has_a_quote_too() -> None:
    shown = quoted([], notes=["why"])

    assert (shown.total, shown.ceiling, shown.shown(), shown.warnings) == (0, None, None, ("why",))
    assert restored(shown.outputs()).digest == "d"


@pytest.mark.parametrize(
    ("budget", "locked", "ceiling", "by"),
    [
        ({"slack": 0.5}, None, 1.5, "50% above what is shown"),
        ({"slack": 0.5, "max_total": 100}, None, 1.5, "50% above what is shown"),
        ({"slack": 0.5, "max_total": 0.05}, None, 0.05, "budget.max_total"),
        ({"slack": 0.5}, 0.04, 0.04, "the lock file"),
    ],
)
def test_the_lowest_cap_is_the_ceiling(
    budget: dict[str, float], locked: float | None, ceiling: float, by: str
) -> None:
    every = found([("RTX 4090", False, 0.42, 0.1)])
    shown = quoted(every, Budget(**budget), locked=locked)
    wanted = ceiling * every[0][1].total if ceiling == 1.5 else ceiling

    assert shown.ceiling == pytest.approx(wanted, abs=0.0001)
    assert shown.ceiling_from == by


def test_what_one_run_in_ten_exceeds_is_said() -> None:
    every = found([("RTX 4090", False, 0.42, 0.1)])
    taken = every[0][1]
    soon = datetime.now(UTC) + timedelta(hours=taken.hours + (taken.p90_hours - taken.hours) / 2)
    tight = Budget(deadline=soon, max_total=(taken.total + taken.p90) / 2)

    assert [line.split(":")[0] for line in quoted(every, tight).warnings] == [
        "budget.deadline",
        "budget.max_total",
    ]
    assert quoted(every, Budget(max_total=100)).warnings == ()


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({}, "no budget.max_total: what runs is ended by lease or idle only"),
        (
            {"lease": "off", "max_time": "9h"},
            "no budget.max_total: what runs is ended by idle or max_time only",
        ),
        ({"lease": "off", "idle": "off"}, "no budget.max_total: what runs is ended by nothing"),
        ({"max_total": 5}, ""),
    ],
)
def test_what_ends_a_machine_where_no_dollars_do_is_said(budget: dict[str, Any], says: str) -> None:
    assert quoted([], Budget.model_validate(budget)).unbounded == says


def test_prices_above_what_is_locked_are_said() -> None:
    shown = quoted(found([("RTX 4090", False, 0.42, 0.1)]), locked=0.01)

    assert shown.warnings == ("dearer than the lock file allows: `up` will rent nothing",)


def test_without_a_market_nothing_is_dearer_than_what_is_shown() -> None:
    asked = node(gpu={"models": ["RTX 4090", "RTX 3090", "A100"]}, max_price=1.5)
    [(dearest, taken)] = bound(asked, work(), Experience())

    assert dearest.price == 1.5
    for gpu in ("RTX 4090", "RTX 3090", "A100 SXM4", "A100 PCIE"):
        slow = terms(gpu=gpu, price=1.5, up=50, down=100, storage=0, up_cost=0, down_cost=0, reliability=0.95)
        assert estimate(work(), slow).total <= taken.total + 1e-9


def test_a_job_is_known_by_what_its_price_depends_on() -> None:
    same = digest(node(), Budget(), work())
    for label in (
        digest(node(label="mine", limits={"boot": "30m"}), Budget(), work()),
        digest(node(), Budget(lease="2h", at_end="destroy"), work()),
        digest(node(), Budget(), work(image=9, setup=100, assumed=("a guess",))),
    ):
        assert label == same
    others = {
        digest(node(max_price=1.9), Budget(), work()),
        digest(node(bid="auto"), Budget(), work()),
        digest(node(disk=61), Budget(), work()),
        digest(node(), Budget(max_total=9), work()),
        digest(node(), Budget(slack=0.1), work()),
        digest(node(), Budget(), work(images=2001)),
        digest(node(), Budget(), work(), machines=2),
    }
    assert len(others) == 7
    assert same not in others
