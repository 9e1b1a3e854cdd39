"""States as `pulumi stack export` gives them, of stacks whose machines are rented in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli.stacks import Stack, Survey, stack_of
from components.vast.outputs import outputs

if TYPE_CHECKING:
    from rented import Run

    from components.vast.lifecycle import Machine

_DYNAMIC = "pulumi-python:dynamic/"


def deployment(run: Run, *machines: Machine, trains: bool = False, **cost: Any) -> dict[str, Any]:
    """A stack named `test` with these machines."""
    request = run.request
    secret = {"plaintext": json.dumps(request.private_key.get_secret_value())}
    inputs = {"node": request.node.model_dump(mode="json", exclude_defaults=True)}
    resources: list[dict[str, Any]] = [
        {"type": "pulumi:pulumi:Stack", "outputs": {"cost": cost} if cost else {}},
        {
            "type": f"{_DYNAMIC}vast:SshKey",
            "outputs": {"public_key": request.public_key, "private_key": secret},
        },
        *(
            {
                "type": f"{_DYNAMIC}vast:Instance",
                "urn": "urn:pulumi:test::fragua::vast:Instance::node",
                "id": str(machine.instance.id),
                "inputs": inputs,
                "outputs": {**outputs(machine), "url": run.cloud.url},
            }
            for machine in machines
        ),
    ]
    if trains:
        resources.append({"type": f"{_DYNAMIC}kohya:TrainingRun", "outputs": {}})
    return {"resources": resources}


def stack(run: Run, *machines: Machine, **more: Any) -> Stack:
    """The same, read."""
    return stack_of("test", deployment(run, *machines, **more))


def surveyed(*stacks: Stack, unreadable: tuple[str, ...] = ()) -> Survey:
    return Survey(stacks, unreadable)
