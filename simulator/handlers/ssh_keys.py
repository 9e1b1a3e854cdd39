"""SSH keys: of the account, and attached to an instance.

Each answer names the key's text differently, as Vast's do: `public_key` when made, `key` in the
account's list, `ssh_key` in the instance's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from simulator.errors import APIError
from simulator.handlers.call import Call, own_contract

if TYPE_CHECKING:
    from simulator.world import World

KEY_TYPES = ("ssh-", "ecdsa-", "sk-")


def create(world: World, call: Call) -> dict[str, Any]:
    """POST ssh: new instances will have the key; those that exist will not."""
    key = world.account.new_ssh_key(_text(call), call.now)
    world.account.save_ssh_key(key)
    return {"success": True, "key": key}


def show(world: World, _call: Call) -> list[dict[str, Any]]:
    """GET ssh: a bare list."""
    return [
        {**{k: v for k, v in key.items() if k != "public_key"}, "key": key["public_key"]}
        for key in world.account.ssh_keys()
    ]


def update(world: World, call: Call) -> dict[str, Any]:
    """PUT ssh/{id}: replace the text."""
    key = {**_find(world, call), "public_key": _text(call)}
    world.account.save_ssh_key(key)
    return {"success": True, "key": key}


def delete(world: World, call: Call) -> dict[str, Any]:
    """DELETE ssh/{id}: instances that have the key keep it."""
    world.account.delete_ssh_key(_find(world, call)["id"])
    return {"success": True}


def attach(world: World, call: Call) -> dict[str, Any]:
    """POST instances/{id}/ssh: the key's text, not its id."""
    contract, public = own_contract(world, call), _text(call)
    if all(key["public_key"] != public for key in contract.ssh_keys):
        known = (key for key in world.account.ssh_keys() if key["public_key"] == public)
        key = next(known, None) or world.account.new_ssh_key(public, call.now)
        contract.ssh_keys.append(key)
        world.lifecycle.write_keys(contract, call.now)
    return {"success": True, "msg": "SSH key added to instance."}


def attached(world: World, call: Call) -> dict[str, Any]:
    """GET instances/{id}/ssh: JSON within JSON."""
    rows = [
        {**{k: v for k, v in key.items() if k != "public_key"}, "ssh_key": key["public_key"]}
        for key in own_contract(world, call).ssh_keys
    ]
    return {"success": True, "ssh_keys": json.dumps(rows)}


def detach(world: World, call: Call) -> dict[str, Any]:
    """DELETE instances/{id}/ssh/{key_id}."""
    contract, number = own_contract(world, call), call.path["key_id"]
    rest = [key for key in contract.ssh_keys if key["id"] != number]
    if len(rest) == len(contract.ssh_keys):
        raise APIError(404, "no_such_ssh_key", f"SSH key {number} is not attached.")
    contract.ssh_keys = rest
    world.lifecycle.write_keys(contract, call.now)
    return {"success": True, "msg": "SSH key removed from instance."}


def _find(world: World, call: Call) -> dict[str, Any]:
    for key in world.account.ssh_keys():
        if key["id"] == call.path["id"]:
            return key
    raise APIError(400, "no_ssh_key", f"There is no SSH key {call.path['id']}.")


def _text(call: Call) -> str:
    value = call.fields().get("ssh_key")
    public = value.replace("\0", "").strip() if isinstance(value, str) else ""
    if not public.startswith(KEY_TYPES):
        raise APIError(400, "no_ssh_key", "ssh_key: expected the text of a public key.")
    return public
