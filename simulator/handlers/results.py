"""Logs of an instance and commands on its disk: both answer with a link to the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.commands import run_command
from simulator.errors import APIError, invalid_args

if TYPE_CHECKING:
    from simulator.handlers.call import Call
    from simulator.world import World


def request_logs(world: World, call: Call) -> dict[str, Any]:
    """PUT instances/request_logs/{id}: the container's output, or the host daemon's."""
    contract = world.contracts.get(call.path["id"])
    if contract is None:
        raise APIError(404, "invalid_id", f"Instance {call.path['id']} not found.")
    body = call.fields()
    host = world.hosts.get(contract.id)
    if body.get("daemon_logs") == "true":
        lines = contract.daemon_log
    else:
        lines = host.logs().splitlines() if host is not None else []
    if wanted := body.get("filter"):
        lines = [line for line in lines if str(wanted) in line]
    try:
        tail = int(body.get("tail") or 1000)
    except (TypeError, ValueError):
        raise invalid_args("tail: expected a number of lines, as a string.") from None
    return _link(world, call, "".join(f"{line}\n" for line in lines[-tail:]))


def execute(world: World, call: Call) -> dict[str, Any]:
    """PUT instances/command/{id}: ls, du or rm on the instance's disk."""
    contract = world.contracts.get(call.path["id"])
    if contract is None:
        raise APIError(400, "invalid_container_id", f"Instance {call.path['id']} not found.")
    if not isinstance(call.body, dict):
        raise APIError(483, "invalid_args", "Invalid json_body")
    command = call.body.get("command")
    if not isinstance(command, str):
        raise invalid_args("command: expected a string.")
    text = run_command(world.disk(contract), command)
    return {"writeable_path": "", **_link(world, call, text)}


def _link(world: World, call: Call, text: str) -> dict[str, Any]:
    url = f"{call.base_url}results/{world.results.add(text)}"
    return {"success": True, "msg": "", "result_url": url}
