"""The price of several machines is that of as many offers, and `up` rents all of them or none."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from planned import Stack, asked
from rented import Cloud

from components.cost.purchase import Purchase
from components.errors import BalanceTooLow, NoOffer, NotApproved, SpecError
from components.stacks import lock, shown
from components.stacks.asked import Asked
from components.stacks.price import Priced
from components.stacks.pricing import ranked
from components.vast import offers

MANY = 12


@pytest.fixture
def credit(cloud: Cloud) -> Iterator[Callable[[float], None]]:
    """Set what is left of the account's credit; enough again afterwards."""
    yield lambda dollars: cloud.ask("POST", "credit", set=dollars)
    cloud.ask("POST", "credit", set=100000)


def cheapest(need: Asked) -> list[float]:
    """Return what the job takes on each offer."""
    ranking, _ = ranked(need)
    best: dict[int, float] = {}
    for choice in ranking.choices:
        best.setdefault(choice.offer.id, choice.estimate.total)
    return list(best.values())


def rentable(need: Asked, found: Priced) -> int:
    """Return how many offers each machine's resource could rent."""
    _, seen = ranked(need)
    ranking = offers.rank(seen.offers, need.node, Purchase.model_validate(found.purchase))
    return len({choice.offer.id for choice in ranking.choices})


def test_many_cost_what_as_many_offers_do_and_each_can_be_rented(stack: Stack) -> None:
    for need in (asked(machines=MANY), asked(machines=MANY, bid="auto")):
        totals = cheapest(need)
        seen = stack.preview(need)
        done = stack.up(need)

        assert seen.outputs["cost"]["total"] == pytest.approx(sum(totals[:MANY]), abs=0.01)
        assert seen.outputs["cost"]["total"] > MANY * totals[0]
        assert done == seen
        assert rentable(need, done) >= MANY


def test_each_can_be_rented_by_a_lock_too(stack: Stack) -> None:
    stack.preview(asked(machines=MANY))
    last = shown.read("s")
    assert last
    lock.write(lock.file(Path(), "s"), lock.Lock.of(last.quote), "s")

    assert rentable(asked(machines=MANY), stack.up(asked(machines=MANY))) >= MANY


def test_a_lock_that_allows_some_of_them_rents_none(stack: Stack) -> None:
    need = asked(machines=MANY)
    stack.preview(need)
    last = shown.read("s")
    assert last
    low = MANY * (last.quote.dearest - 0.01)
    lock.write(lock.file(Path(), "s"), lock.Lock.of(last.quote.model_copy(update={"ceiling": low})), "s")
    stack.preview(need)

    assert "dearer than the lock file allows: `up` will rent nothing" in stack.said
    with pytest.raises(NotApproved, match=f"the dearest of {MANY} machines .* Nothing was rented"):
        stack.up(need)


def test_fewer_offers_than_machines_are_said_and_up_rents_none(stack: Stack) -> None:
    fit = len(cheapest(asked()))
    poor = asked(machines=fit + 3)
    stack.preview(poor)

    assert f"{fit + 3} machines are asked for, {fit} offers fit: `up` will rent nothing" in stack.said
    with pytest.raises(
        NoOffer, match=f"{fit + 3} machines are asked for, {fit} offers fit: .* fewer replicas"
    ):
        stack.up(poor)


def test_machines_that_are_there_need_no_offer_and_keep_their_price(stack: Stack) -> None:
    fit = len(cheapest(asked()))
    stack.state.holds(asked(machines=4), {}, price=9.0, storage_cost=0)
    cost = stack.preview(asked(machines=fit + 4)).outputs["cost"]

    assert "will rent nothing" not in stack.said
    assert cost["pricePerHour"] > 36
    assert cost["change"]["pricePerHour"] == pytest.approx(cost["pricePerHour"] - 36, abs=0.001)
    assert Purchase.model_validate(stack.up(asked(machines=5)).purchase).approved < 9 * 24


def test_a_share_of_max_total_that_the_dearest_exceeds_is_refused(stack: Stack) -> None:
    totals = cheapest(asked())[:MANY]
    most = (sum(totals) + MANY * totals[-1]) / 2
    for run in (stack.preview, stack.up):
        with pytest.raises(SpecError, match=rf"max_total: .* for each of {MANY} machines, and the dearest"):
            run(asked(machines=MANY, budget={"max_total": most}))


def test_the_balance_has_to_cover_all_of_them(stack: Stack, credit: Callable[[float], None]) -> None:
    one = stack.preview(asked()).outputs["cost"]
    credit(one["pricePerHour"] * 3)
    stack.up(asked())
    stack.preview(asked(machines=MANY))
    with pytest.raises(BalanceTooLow, match=rf"setup and one hour of {MANY} machines takes"):
        stack.up(asked(machines=MANY))
    credit(one["pricePerHour"] * 3 * MANY)
    stack.up(asked(machines=MANY))
    assert "may not last: the job may take up to" in stack.said
