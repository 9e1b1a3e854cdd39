"""Which price holds: what a preview shows, what `up` goes by, and when the market is asked."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from planned import Stack, asked
from rented import Cloud

from components.cost.purchase import Purchase
from components.errors import NoOffer, SpecError
from components.stacks import lock, shown
from components.stacks.price import Priced
from components.stacks.pricing import ranked


@pytest.fixture
def prices(cloud: Cloud) -> Any:
    """Multiply all prices, until the test is over."""
    factors = [1.0]

    def multiply(factor: float) -> None:
        factors[0] *= factor
        cloud.ask("POST", "price", multiply=factor)

    yield multiply
    cloud.ask("POST", "price", multiply=1 / factors[0])


def approved(found: Priced) -> float:
    return Purchase.model_validate(found.purchase).approved or 0


def test_up_goes_by_what_was_shown_whatever_the_market_did(
    stack: Stack, prices: Callable[[float], None]
) -> None:
    before = stack.searches
    seen = stack.preview(asked())
    prices(2)
    done = stack.up(asked())

    assert stack.searches == before + 1
    assert done.outputs == seen.outputs
    assert done.purchase == seen.purchase
    assert approved(done) == seen.outputs["cost"]["ceiling"] >= 1.25 * seen.outputs["cost"]["total"] - 0.001


def test_a_preview_says_the_price(stack: Stack) -> None:
    cost = stack.preview(asked()).outputs["cost"]

    assert f"price: {cost['total']:.2f} $ in about 24" in stack.said
    assert f"ceiling {cost['ceiling']:.2f} $, 25% above what is shown" in stack.said
    assert cost["prices"] == "market"
    assert cost["change"] == {"pricePerHour": cost["pricePerHour"], "total": cost["total"]}
    found = shown.read("s")
    assert found
    assert found.quote.outputs() == cost


def test_up_alone_looks_itself(stack: Stack) -> None:
    before = stack.searches
    done = stack.up(asked())

    assert stack.searches == before + 1
    assert approved(done) == done.outputs["cost"]["ceiling"]
    assert "price: " in stack.said


def test_what_was_shown_for_something_else_counts_for_nothing(stack: Stack) -> None:
    stack.preview(asked())
    before = stack.searches
    stack.up(asked(disk=30))

    assert stack.searches == before + 1
    assert "price: " in stack.said


def test_what_was_shown_holds_though_another_job_was_shown_since(
    stack: Stack, prices: Callable[[float], None]
) -> None:
    first = stack.preview(asked())
    other = stack.preview(asked(disk=30))
    prices(2)

    for _ in range(2):
        assert stack.up(asked()).purchase == first.purchase
        assert stack.up(asked(disk=30)).purchase == other.purchase
    last = shown.read("s")
    assert last
    assert [each.digest for each in last.others] == [asked().digest]
    stack.state.holds(asked(), first.outputs)
    stack.preview(asked())
    last = shown.read("s")
    assert last
    assert last.quote.digest == asked().digest


def test_what_was_shown_long_ago_holds_until_a_preview_shows_another(
    stack: Stack, prices: Callable[[float], None]
) -> None:
    old = stack.preview(asked()).outputs["cost"]
    last = shown.read("s")
    assert last
    long_ago = last.quote.model_copy(update={"when": last.quote.when - 90 * 86400})
    shown.write("s", last.model_copy(update={"quote": long_ago, "at": long_ago.when}))
    prices(1.8)
    before = stack.searches
    for _ in range(2):
        purchase = Purchase.model_validate(stack.up(asked()).purchase)
        assert (purchase.approved, stack.searches) == (old["ceiling"], before)

    ranking, _ = ranked(asked(), newer_than=time.time())
    now = ranking.choices[0]
    day = datetime.fromtimestamp(long_ago.when, UTC)
    assert purchase.refusal(now.terms, now.estimate) == (
        f"dearer in all than the {old['ceiling']:.2f} $ that were approved (shown: {old['total']:.2f} $ "
        f"by prices of {day:%Y-%m-%d %H:%M} UTC)"
    )
    found = stack.preview(asked())
    assert found.outputs["cost"]["total"] > 1.7 * old["total"]
    purchase = Purchase.model_validate(stack.up(asked()).purchase)
    assert not purchase.refusal(now.terms, now.estimate)


def test_after_an_up_that_failed_a_preview_asks_the_market_anew(
    stack: Stack, prices: Callable[[float], None]
) -> None:
    first = stack.preview(asked()).outputs["cost"]["total"]
    prices(2)
    assert stack.preview(asked()).outputs["cost"]["total"] == first
    stack.up(asked())
    assert stack.preview(asked()).outputs["cost"]["total"] > 1.5 * first


@pytest.mark.parametrize("going", [True, False])
def test_a_stack_that_is_up_keeps_its_price_and_asks_nobody(
    going: bool, stack: Stack, prices: Callable[[float], None]
) -> None:
    outputs = stack.preview(asked()).outputs
    stack.state.holds(asked(), outputs)
    prices(3)
    before = stack.searches
    again = stack.up(asked()) if going else stack.preview(asked())

    assert again.outputs == outputs
    assert stack.searches == before
    assert "price: " not in stack.said


def test_elsewhere_too(stack: Stack, tmp_path: Path) -> None:
    """On another computer only the state knows the price; `fragua cost` can tell it there, too."""
    outputs = stack.preview(asked()).outputs
    stack.state.holds(asked(), outputs)
    shown.file("s").unlink()
    again = stack.preview(asked())

    assert again.outputs == outputs
    found = shown.read("s")
    assert found
    assert found.quote.total == pytest.approx(outputs["cost"]["total"])


def test_a_lost_machine_is_replaced_within_what_was_approved(
    stack: Stack, prices: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = stack.preview(asked()).outputs
    stack.state.holds(asked(), outputs, status="outbid", interruptible=False)
    shown.file("s").unlink()
    prices(3)
    before = stack.searches
    again = stack.up(asked())
    assert (again.outputs, stack.searches) == (outputs, before)
    assert approved(again) == outputs["cost"]["ceiling"]

    assert stack.preview(asked()).outputs["cost"]["total"] == outputs["cost"]["total"]  # known for 5 minutes
    monkeypatch.setattr("components.vast.market._FRESH", 0)
    assert stack.preview(asked()).outputs["cost"]["total"] > 2 * outputs["cost"]["total"]


def test_a_job_that_goes_on_with_its_machine_is_priced_by_that(stack: Stack) -> None:
    outputs = stack.preview(asked()).outputs
    stack.state.holds(asked(), outputs, price=0.5)
    before = stack.searches
    cost = stack.preview(asked(budget={"hours": 48})).outputs["cost"]

    assert stack.searches == before
    assert (cost["prices"], cost["gpu"], cost["pricePerHour"]) == ("what runs", "RTX 4090", 0.5)
    assert cost["total"] >= 24
    assert cost["change"] == {
        "pricePerHour": 0,
        "total": pytest.approx(cost["total"] - outputs["cost"]["total"], abs=0.001),
    }
    assert "against what runs now: +0.000 $/h (from 0.500)" in stack.said


def test_a_change_says_what_it_saves(stack: Stack) -> None:
    outputs = stack.preview(asked(machines=3)).outputs
    stack.state.holds(asked(machines=3), outputs, price=2.0)
    cost = stack.preview(asked(image="debian")).outputs["cost"]

    assert cost["change"]["pricePerHour"] == pytest.approx(cost["pricePerHour"] - 6)
    assert cost["change"]["total"] == pytest.approx(cost["total"] - outputs["cost"]["total"], abs=0.001)


def test_each_machine_may_cost_its_share(stack: Stack) -> None:
    many = stack.preview(asked(machines=4, budget={"max_total": 1000}))
    purchase = Purchase.model_validate(many.purchase)

    assert approved(many) == pytest.approx(many.outputs["cost"]["ceiling"] / 4)
    assert purchase.max_total == 250
    assert purchase.shown
    assert purchase.shown.total == pytest.approx(many.outputs["cost"]["total"] / 4, abs=0.001)


def test_a_job_that_cannot_be_paid_is_refused(stack: Stack) -> None:
    with pytest.raises(
        SpecError, match=r"job.yaml:3: budget.max_total: 0.05 \$ is less than the cheapest that"
    ):
        stack.preview(asked(budget={"max_total": 0.05}))


def test_one_that_nobody_knows_the_price_of_is_not(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAST_API_KEY")
    found = stack.preview(asked(budget={"max_total": 0.05}))

    assert found.outputs["cost"]["prices"] == "preset"
    assert "no prices are known" in stack.said
    assert "no Vast.ai API key" in stack.said
    assert approved(found) == 0.05


def test_a_deadline_that_is_past_is_refused_unless_the_machine_is_there(stack: Stack) -> None:
    soon = datetime.now(UTC) + timedelta(hours=30)
    late = datetime.now(UTC) - timedelta(hours=2)
    outputs = stack.preview(asked(budget={"deadline": soon})).outputs
    for run in (stack.preview, stack.up):
        with pytest.raises(SpecError, match=r"job\.yaml:3: budget\.deadline: it was 2\.0 h ago"):
            run(asked(budget={"deadline": late}))
    stack.state.holds(asked(), outputs)

    assert Purchase.model_validate(
        stack.up(asked(budget={"deadline": late})).purchase
    ).hours == pytest.approx(0, abs=0.001)


def test_nothing_that_fits_is_said_and_is_no_failure(stack: Stack) -> None:
    found = stack.preview(asked(max_price=0.01))

    assert "price: nothing that is offered now fits" in stack.said
    assert "dearer than 0.01 $/h" in stack.said
    assert found.outputs["cost"] == {
        "digest": asked(max_price=0.01).digest,
        "machines": 1,
        "prices": "market",
    }
    assert found.purchase["approved"] == 0


def test_up_ends_where_nothing_fits_and_does_not_count_as_approval(stack: Stack) -> None:
    poor = asked(max_price=0.01)
    stack.preview(poor)
    with pytest.raises(NoOffer, match=r"no offer fits: 0 fit; not: .* dearer than 0\.01"):
        stack.up(poor)
    stack.state.holds(asked(), stack.preview(asked()).outputs)
    with pytest.raises(NoOffer):
        stack.up(asked(max_price=0.01, image="debian"))


def test_what_cannot_be_paid_is_refused_by_up_too(stack: Stack) -> None:
    poor = asked(budget={"max_total": 0.05})
    for run in (stack.preview, stack.up, stack.up):
        with pytest.raises(SpecError, match="is less than the cheapest"):
            run(poor)


def test_an_adopted_machine_has_no_price(stack: Stack) -> None:
    before = stack.searches

    assert stack.preview(asked(adopt=7)).outputs == {}
    assert stack.searches == before


def test_a_lock_is_what_is_approved(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    first = stack.preview(asked())
    found = shown.read("s")
    assert found
    written = lock.Lock.of(found.quote)
    dearest = written.model_copy(update={"classes": written.classes[-1:], "max_total": 99})
    lock.write(lock.file(Path(), "s"), dearest, "s")
    locked = stack.preview(asked())
    purchase = Purchase.model_validate(locked.purchase)

    assert len(written.classes) > 1
    assert purchase.classes == dearest.classes
    assert purchase.approved == 99
    assert locked.outputs["cost"]["gpu"] == dearest.classes[0].gpu != first.outputs["cost"]["gpu"]
    assert "ceiling 99.00 $, the lock file" in stack.said


def test_a_stale_lock_is_refused_and_its_successor_is_shown(stack: Stack) -> None:
    stack.preview(asked())
    found = shown.read("s")
    assert found
    lock.write(lock.file(Path(), "s"), lock.Lock.of(found.quote), "s")
    for run in (stack.preview, stack.up):
        with pytest.raises(SpecError, match=r"Pulumi.s.lock.yaml: stale: .* `./fragua cost s --lock`"):
            run(asked(disk=30))
    last = shown.read("s")
    assert last
    lock.write(lock.file(Path(), "s"), lock.Lock.of(last.quote), "s")

    assert stack.up(asked(disk=30)).purchase["classes"]


def test_a_state_that_cannot_be_read_is_no_failure(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> dict[str, Any]:
        raise RuntimeError("no backend client is available")

    monkeypatch.setattr(stack.state, "call", broken)

    assert stack.preview(asked()).outputs["cost"]["prices"] == "market"


@pytest.mark.parametrize("cost", [None, "1 $", {}, {"digest": "d", "machines": 1, "gpu": "RTX 4090"}])
def test_a_price_that_another_version_left_counts_for_nothing(cost: object, stack: Stack) -> None:
    stack.state.holds(asked(), {"cost": cost} if cost is not None else {})

    assert stack.preview(asked()).outputs["cost"]["prices"] == "what runs"
