"""API keys, and the secrets that every new container gets as variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.errors import APIError, invalid_args

if TYPE_CHECKING:
    from simulator.auth import Key
    from simulator.handlers.call import Call
    from simulator.world import World

MAX_SECRETS = 100


def create(world: World, call: Call) -> dict[str, Any]:
    """POST auth/apikeys: the secret is shown this once."""
    body = call.fields()
    name, permissions = body.get("name"), body.get("permissions")
    if not isinstance(name, str) or not 0 < len(name) <= 255:
        raise invalid_args("name: expected 1 to 255 characters.")
    if permissions is not None and not isinstance(
        permissions.get("api") if isinstance(permissions, dict) else None, dict
    ):
        text = 'permissions: expected {"api": {category: {}}}.'
        raise APIError(400, "invalid_permissions", text)
    key = world.keys.create(name, call.now, permissions=permissions)
    return {"id": key.id, "key": key.key, "permissions": permissions}


def show(world: World, _call: Call) -> dict[str, Any]:
    """GET auth/apikeys."""
    return {"apikeys": [_view(key) for key in world.keys.of_account()]}


def delete(world: World, call: Call) -> dict[str, Any]:
    """DELETE auth/apikeys/{id}: it is an unknown key from now on."""
    if not world.keys.revoke(call.path["id"]):
        raise APIError(404, "not_found", f"There is no API key {call.path['id']}.")
    return {"success": True}


def secrets(world: World, _call: Call) -> dict[str, Any]:
    """GET secrets."""
    return {"success": True, "secrets": world.account.secrets()}


def add_secret(world: World, call: Call) -> dict[str, Any]:
    """POST secrets: a new one."""
    name, known = _secret_name(call), world.account.secrets()
    if name in known:
        raise APIError(400, "existing_key", f"{name} exists; change it with PUT.")
    if len(known) >= MAX_SECRETS:
        raise APIError(400, "max_secrets", f"There are {MAX_SECRETS} secrets already.")
    world.account.set_secrets({**known, name: _secret_value(call)})
    return {"success": True, "msg": f"{name} created."}


def change_secret(world: World, call: Call) -> dict[str, Any]:
    """PUT secrets: another value."""
    name, known = _known_secret(world, call)
    world.account.set_secrets({**known, name: _secret_value(call)})
    return {"success": True, "msg": f"{name} updated."}


def delete_secret(world: World, call: Call) -> dict[str, Any]:
    """DELETE secrets."""
    name, known = _known_secret(world, call)
    world.account.set_secrets({other: v for other, v in known.items() if other != name})
    return {"success": True, "msg": f"{name} deleted."}


def _view(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "created_at": key.created_at,
        "permissions": key.permissions,
    }


def _known_secret(world: World, call: Call) -> tuple[str, dict[str, str]]:
    name, known = _secret_name(call), world.account.secrets()
    if name not in known:
        raise APIError(400, "missing_input", f"There is no secret {name}.")
    return name, known


def _secret_name(call: Call) -> str:
    name = call.fields().get("key")
    if not isinstance(name, str) or not name:
        raise APIError(400, "missing_input", "key: required.")
    return name.upper()


def _secret_value(call: Call) -> str:
    value = call.fields().get("value")
    if not isinstance(value, str):
        raise APIError(400, "missing_input", "value: required.")
    return value
