"""The price in the plan, and that `up` rents nothing dearer than what was shown or locked."""

import json
from pathlib import Path
from typing import Any

import pytest
from engine_runs import Cloud, MakeStack, Stack

from cli import cost
from components.stacks import lock


def shown(stack: Stack) -> dict[str, Any]:
    path = Path(stack.environment["FRAGUA_HOME"]) / "cost" / f"{stack.name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def searches(cloud: Cloud) -> int:
    return int(cloud.ask("GET", "calls")["counts"].get("POST /api/v0/bundles", 0))


def test_what_a_preview_shows_is_what_is_rented_and_then_nobody_is_asked(
    make_stack: MakeStack, cloud: Cloud
) -> None:
    stack = make_stack("money", override__budget__hours=2)
    before = searches(cloud)
    plan = stack.preview()
    quote = shown(stack)["quote"]
    first = quote["options"][0]
    assert f"price: {first['total']:.2f} $ in about 2" in plan
    assert f"pricePerHour : {first['price']}" in plan
    assert f"ceiling {quote['ceiling']:.2f} $, 25% above what is shown" in plan
    assert searches(cloud) == before + 1

    stack.up()
    outputs = stack.outputs()
    assert (outputs["cost"]["total"], outputs["cost"]["ceiling"]) == (first["total"], quote["ceiling"])
    assert outputs["gpu"] == f"{first['gpus']}x {first['gpu']}"
    assert outputs["pricePerHour"] == pytest.approx(first["price"], abs=0.001)

    calls = cloud.ask("GET", "calls")["total"]
    again = stack.preview()
    assert "3 unchanged" in again
    assert "cost" not in again
    assert "price: " not in again
    assert cloud.ask("GET", "calls")["total"] == calls


def test_a_price_that_rose_beyond_what_was_shown_is_not_paid(make_stack: MakeStack, cloud: Cloud) -> None:
    stack = make_stack("risen")
    stack.preview()
    cloud.ask("POST", "price", multiply=1.5)
    done = stack.try_("up", "--yes", "--skip-preview")
    cloud.ask("POST", "price", multiply=1 / 1.5)

    assert done.code != 0
    assert "that were approved" in done.output
    assert "Nothing was rented" in done.output
    assert cloud.contracts("risen/") == []
    stack.destroy()


def test_a_lock_is_honoured_until_the_job_changes(
    make_stack: MakeStack, cloud: Cloud, copied_program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = make_stack("locked", program=copied_program)
    monkeypatch.setenv("FRAGUA_HOME", stack.environment["FRAGUA_HOME"])
    stack.preview()
    cheapest = shown(stack)["quote"]["options"][0]["gpu"]
    cost.run(copied_program, "locked", "text", lock=True)
    path = lock.file(copied_program, "locked")
    written = lock.read(path, "locked")
    assert written
    lock.write(path, written.model_copy(update={"classes": written.classes[-1:], "max_total": 99}), "locked")
    stack.up()
    assert stack.outputs()["gpu"] == f"1x {written.classes[-1].gpu}" != f"1x {cheapest}"

    stack.configure(override__budget__hours=3)
    done = stack.try_("preview")
    assert done.code != 0
    assert "Pulumi.locked.lock.yaml: stale: " in done.output
    assert "./fragua cost locked --lock" in done.output
    assert "Traceback" not in done.output

    cost.run(copied_program, "locked", "text", lock=True)
    renewed = lock.read(path, "locked")
    assert renewed
    assert renewed.digest != written.digest
    assert "prices of what runs already" in stack.preview()
