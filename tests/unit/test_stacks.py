"""What an exported state says of machines."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pulumi import automation as auto
from pulumi.automation import CommandResult

from cli.project import reason
from cli.stacks import Survey, stack_of
from components.vast.orphans import Machine
from components.vast.request import key_tag

DYNAMIC = "pulumi-python:dynamic/"
URL = "https://console.vast.ai"
NODE = {"gpu": {"models": ["RTX 4090"]}, "limits": {"boot": "600s"}}


def shown(number: int, status: str = "running") -> dict[str, Any]:
    """What a machine's resource shows of it; Pulumi's numbers are floats."""
    return {
        "instance_id": float(number), "status": status, "host": "h", "port": 22.0, "host_key": "ssh-ed25519 A"
    }  # fmt: skip


def key(**changed: Any) -> dict[str, Any]:
    secret = {"plaintext": json.dumps("private")}
    outputs = {"public_key": "ssh-ed25519 A", "private_key": secret}
    return {"type": f"{DYNAMIC}vast:SshKey", "outputs": {**outputs, **changed}}


def machine(number: int, name: str = "node", **changed: Any) -> dict[str, Any]:
    return {
        "type": f"{DYNAMIC}vast:Instance",
        "urn": f"urn:pulumi:train::fragua::{DYNAMIC}vast:Instance::{name}",
        "id": str(number),
        "inputs": {"node": NODE},
        "outputs": {**shown(number), "url": URL},
        **changed,
    }


def deployment(*resources: dict[str, Any], pending: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    operations = [{"resource": each, "type": "creating"} for each in pending]
    return {"resources": list(resources), "pending_operations": operations}


def test_a_stack_that_is_not_up_has_nothing() -> None:
    for empty in ({}, {"resources": None}, deployment()):
        found = stack_of("train", empty)

        assert (found.state.machines, found.state.keys, found.logins, found.urls) == ((), (), {}, {})


def test_machines_limits_leases_and_logins_are_read() -> None:
    lease = {"max_time": 3600, "at_end": "destroy"}
    with_lease = machine(8, "node-2", inputs={"node": NODE, "lease": lease})
    found = stack_of("train", deployment(key(), machine(7), with_lease))

    assert found.state.machines == (
        Machine(7, "node", "running", 600),
        Machine(8, "node-2", "running", 600, 3600, "destroy"),
    )
    assert found.state.keys == (key_tag("ssh-ed25519 A"),)
    assert {number: login.private_key for number, login in found.logins.items()} == {
        7: "private",
        8: "private",
    }
    assert "private'" not in repr(found)


def test_the_machines_of_a_gang_are_the_stacks_too() -> None:
    gang = {**machine(0, "gang"), "type": f"{DYNAMIC}vast:Gang"}
    gang["outputs"] = {"url": URL, "machines": [shown(7), shown(8)]}
    found = stack_of("train", deployment(key(), gang))

    assert [each.instance for each in found.state.machines] == [7, 8]
    assert set(found.urls) == set(found.logins) == {7, 8}


def test_what_waits_to_be_deleted_is_no_machine_of_the_stack() -> None:
    found = stack_of("train", deployment(key(), machine(7), machine(8, delete=True)))

    assert [each.instance for each in found.state.machines] == [7]


def test_what_is_being_rented_is_given_as_long_as_it_may_wait() -> None:
    renting = stack_of("train", deployment(key(), pending=(machine(0, outputs={}, id=""),)))
    other = stack_of("train", deployment(key(), pending=({"type": "command:remote:Command"},)))

    assert renting.state.renting == 600 + 300 + 300
    assert other.state.renting == 0


def test_encrypted_secrets_leave_the_machines_known_and_no_login() -> None:
    found = stack_of("train", deployment(key(private_key={"ciphertext": "v1:x"}), machine(7)))

    assert [each.instance for each in found.state.machines] == [7]
    assert found.logins == {}


def test_a_machine_rented_elsewhere_is_not_on_this_account() -> None:
    found = stack_of(
        "train", deployment(key(), machine(7), machine(8, outputs={**shown(8), "url": "http://x"}))
    )
    [here] = Survey((found,)).states(URL)

    assert [each.instance for each in here.machines] == [7]
    assert here.keys == found.state.keys


@pytest.mark.parametrize(
    "strange",
    [
        {"resources": [{"type": f"{DYNAMIC}vast:Instance", "id": "7", "urn": "x", "outputs": {}}]},
        {"resources": 3},
    ],
)
def test_a_state_that_is_not_as_fragua_writes_it_is_no_empty_one(strange: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        stack_of("train", strange)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no stack named 'a' found", "no stack named 'a' found"),
        (
            "PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions",
            "fragua pulumi login",
        ),
    ],
)
def test_why_the_engine_failed_is_its_error_line_or_what_to_do(line: str, says: str) -> None:
    failed = auto.CommandError(CommandResult(stdout="much", stderr=f"more\nerror: {line}\n", code=255))

    assert says in reason(failed)
    assert "\n" not in reason(failed)
