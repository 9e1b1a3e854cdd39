"""A bid that is raised in place: its price, and what holds it."""

from pathlib import Path
from typing import Any

import pytest
from planned import Stack, asked

from components.cost.purchase import Purchase
from components.errors import SpecError
from components.stacks import lock, shown

RAISED: dict[str, Any] = {"price": 0.31, "bid": 0.3, "interruptible": True}


def test_a_bid_that_is_raised_in_place_is_priced_by_itself(stack: Stack) -> None:
    stack.state.holds(asked(bid=0.3), stack.preview(asked()).outputs, **RAISED, up_cost=1, down_cost=0.02)
    cost = stack.preview(asked(bid=0.6)).outputs["cost"]

    assert (cost["prices"], cost["pricePerHour"], cost["interruptible"]) == ("what runs", 0.61, True)
    assert cost["change"]["pricePerHour"] == pytest.approx(0.3)
    assert cost["storage"] == pytest.approx(0.01 * cost["hours"], abs=0.001)
    assert 24 * 0.61 < cost["total"] < 30 * 0.61
    assert "at 0.610 $/h" in stack.said
    assert "against what runs now: +0.300 $/h (from 0.310)" in stack.said


def test_a_bid_is_not_raised_above_what_the_job_may_cost(stack: Stack) -> None:
    stack.state.holds(asked(bid=0.3), stack.preview(asked()).outputs, **RAISED)
    little = {"max_total": 10}
    for run in (stack.preview, stack.up):
        with pytest.raises(
            SpecError, match=r"job\.yaml:3: node\.bid: 0\.6 \$/h .* budget\.max_total, 10\.00"
        ):
            run(asked(bid=0.6, budget=little))
    stack.up(asked(bid=0.2, budget=little))
    stack.up(asked(bid=0.3, budget={"max_total": 1}))

    assert "dearer than budget.max_total allows: a lost machine is not replaced" in stack.said


def test_a_bid_is_not_raised_above_what_was_shown(stack: Stack) -> None:
    outputs = stack.preview(asked()).outputs
    stack.state.holds(asked(bid=0.3), outputs, **RAISED)
    stack.preview(asked(bid=0.6))
    stack.up(asked(bid=0.6))
    stack.state.holds(asked(bid=0.3), outputs, **{**RAISED, "price": 0.6})
    with pytest.raises(SpecError, match=r"that were approved .* \(0\.900 \$/h with its disk"):
        stack.up(asked(bid=0.6))


def test_the_lock_of_what_runs_is_renewed_and_holds_its_bid(stack: Stack) -> None:
    path = lock.file(Path(), "s")
    outputs = stack.preview(asked()).outputs
    found = shown.read("s")
    assert found
    old = lock.Lock.of(found.quote)
    lock.write(path, old, "s")
    stack.state.holds(asked(bid=0.3), outputs, **RAISED)
    for run in (stack.preview, stack.up):
        with pytest.raises(SpecError, match=r"stale: .* `\./fragua cost s` tells the new price"):
            run(asked(bid=0.6))
    last = shown.read("s")
    assert last
    renewed = lock.Lock.of(last.quote, old)
    lock.write(path, renewed, "s")
    done = Purchase.model_validate(stack.up(asked(bid=0.6)).purchase)

    assert {*old.classes} < {*done.classes}
    assert done.approved == last.quote.ceiling
    cheap = [each.model_copy(update={"max_price": 0.6}) for each in renewed.classes]
    lock.write(path, renewed.model_copy(update={"classes": tuple(cheap)}), "s")
    with pytest.raises(SpecError, match=r"node\.bid: .* by the hour than the lock file allows \(0\.610"):
        stack.up(asked(bid=0.6))
