"""What `pulumi refresh` sees of a machine that changed behind the stack's back, and what `up` makes of it."""

import re

import pytest
from engine_runs import Cloud, MakeStack, Stack


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Stack:
    stack = make_stack("drift", override__node__bid=0.6, override__budget__max_total=100)
    stack.up()
    return stack


def status(stack: Stack) -> object:
    return stack.resource("vast:Instance")["outputs"]["status"]


def refresh(stack: Stack) -> str:
    return stack.pulumi("refresh", "--yes", "--skip-preview")


def test_a_changed_price_is_shown_and_changes_nothing(stack: Stack, cloud: Cloud) -> None:
    before = stack.outputs()["pricePerHour"]
    cloud.api(
        "PUT",
        f"/api/v0/instances/bid_price/{stack.outputs()['instance']}/",
        {"client_id": "me", "price": 0.61},
    )
    assert "price 0." in refresh(stack)
    stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")

    assert stack.resource("vast:Instance")["outputs"]["price"] > before


def test_a_machine_that_was_stopped_is_started_and_verified_again(stack: Stack, cloud: Cloud) -> None:
    before = stack.resource("vast:Instance")["outputs"]
    cloud.api("PUT", f"/api/v0/instances/{before['instance_id']:.0f}/", {"state": "stopped"})
    assert "status running -> stopped" in refresh(stack)
    assert status(stack) == "stopped"
    assert stack.steps() == {"same": 2, "update": 1}
    stack.up()

    assert status(stack) == "running"
    after = stack.resource("vast:Instance")["outputs"]
    assert (after["instance_id"], after["host_key"]) == (before["instance_id"], before["host_key"])
    assert stack.steps() == {"same": 3}


def test_an_outbid_machine_is_taken_back_by_a_higher_bid(stack: Stack, cloud: Cloud) -> None:
    before = stack.outputs()["instance"]
    cloud.ask("POST", f"instances/{before}/outbid")
    assert "status running -> outbid" in refresh(stack)
    assert status(stack) == "outbid"
    assert stack.steps() == {"same": 2, "replace": 1}
    stack.configure(override__node__bid=0.7)
    assert stack.steps() == {"same": 2, "update": 1}
    cloud.ask("POST", f"instances/{before}/restore")
    stack.up()

    assert status(stack) == "running"
    assert stack.outputs()["instance"] == before


def test_a_machine_that_someone_destroyed_is_rented_anew_with_what_it_left_of_the_budget(
    stack: Stack, cloud: Cloud
) -> None:
    before = stack.outputs()["instance"]
    cloud.api("DELETE", f"/api/v0/instances/{before}/", {})
    refresh(stack)
    assert stack.steps() == {"same": 2, "create": 1}
    said = rf"\$ were spent by instance {before} \([\d.]+ \$\), of the 100.00 \$ of budget.max_total"
    assert re.search(said, stack.up())

    assert stack.outputs()["instance"] != before
    assert cloud.billing("drift/node") == [stack.outputs()["instance"]]


def test_another_base_url_is_refused_instead_of_seeing_nothing_there(stack: Stack) -> None:
    there = stack.environment["VAST_URL"]
    stack.environment["VAST_URL"] = "http://127.0.0.1:9"
    done = stack.try_("refresh", "--yes", "--skip-preview")
    stack.environment["VAST_URL"] = there

    assert done.code != 0
    assert f"this resource was made at {there}" in done.output
