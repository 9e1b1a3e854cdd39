"""Destroying ends, and ends the bill, whatever became of the machine."""

import pytest
from engine_runs import Cloud, MakeStack


@pytest.mark.parametrize("fate", ["offline", "exit", "gone"])
def test_destroying_needs_no_living_machine(fate: str, make_stack: MakeStack, cloud: Cloud) -> None:
    stack = make_stack(f"dead-{fate}")
    stack.up()
    instance = stack.outputs()["instance"]
    assert any(f"fragua dead-{fate}" in key for key in cloud.ssh_keys())
    if fate == "gone":
        cloud.api("DELETE", f"/api/v0/instances/{instance}/", {})
    else:
        cloud.ask("POST", f"instances/{instance}/{fate}")
    stack.destroy()

    assert cloud.billing(f"dead-{fate}/") == []
    assert not any(f"fragua dead-{fate}" in key for key in cloud.ssh_keys())


def test_destroying_goes_on_where_the_api_fails_meanwhile(make_stack: MakeStack, cloud: Cloud) -> None:
    stack = make_stack("flapping")
    stack.up()
    cloud.ask(
        "POST",
        "fault",
        effect="respond",
        method="DELETE",
        path=".*instances.*",
        status=502,
        body="bad",
        count=2,
    )
    cloud.ask("POST", "fault", effect="drop_before", method="GET", path=".*instances.*", count=1)
    stack.destroy()

    assert cloud.billing("flapping/") == []


def test_a_revoked_key_is_said_and_the_machine_stays_in_the_state(
    make_stack: MakeStack, cloud: Cloud
) -> None:
    stack = make_stack("revoked")
    stack.up()
    instance = stack.outputs()["instance"]
    right = stack.environment["VAST_API_KEY"]
    stack.environment["VAST_API_KEY"] = "wrong"
    refused = stack.try_("destroy", "--yes", "--skip-preview")
    unread = stack.try_("refresh", "--yes", "--skip-preview")
    stack.environment["VAST_API_KEY"] = right

    for done in (refused, unread):
        assert done.code != 0
        assert "unknown, revoked or lacks a permission" in done.output
    assert stack.outputs()["instance"] == instance
    stack.destroy()
    assert cloud.billing("revoked/") == []
