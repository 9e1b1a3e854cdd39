"""Templates, and the call that puts an instance on another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from simulator.errors import APIError, invalid_args
from simulator.handlers.call import own_contract
from simulator.query import compile_filters, invalid_request
from simulator.rental import read_update
from simulator.views import instance_view

if TYPE_CHECKING:
    from simulator.handlers.call import Call
    from simulator.world import World

SEARCHABLE: dict[str, type] = {
    "id": float,
    "hash_id": str,
    "name": str,
    "image": str,
    "tag": str,
    "default_tag": str,
    "docker_login_repo": str,
    "creator_id": float,
    "created_at": float,
    "count_created": float,
    "recent_create_date": float,
    "recommended_disk_space": float,
    "recommended": bool,
    "jup_direct": bool,
    "ssh_direct": bool,
    "use_ssh": bool,
    "private": bool,
}


def search(world: World, call: Call) -> dict[str, Any]:
    """GET template: the account's and the public ones."""
    try:
        filters = json.loads(call.query.get("select_filters") or "{}")
        columns = json.loads(call.query.get("select_cols") or '["*"]')
    except ValueError:
        raise invalid_request("select_filters, select_cols: not valid JSON.") from None
    if not isinstance(filters, dict) or not isinstance(columns, list):
        raise invalid_request("select_filters: expected an object; select_cols: a list.")
    rows = list(filter(compile_filters(filters, SEARCHABLE), world.templates.every()))
    if "*" not in columns:
        rows = [{name: row.get(name) for name in columns} for row in rows]
    return {"success": True, "templates_found": len(rows), "templates": rows}


def create(world: World, call: Call) -> dict[str, Any]:
    """POST template: one with the same content is returned instead of a new one."""
    body = call.fields()
    for name in ("name", "image"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise invalid_args(f"{name}: required.")
    _check_env(body)
    template = world.templates.create(body, creator=world.account.user_id, at=call.now)
    return {"success": True, "msg": "", "template": template}


def edit(world: World, call: Call) -> dict[str, Any]:
    """PUT template: the fields that are named; the id stays, the hash changes."""
    body = call.fields()
    _check_env(body)
    template = world.templates.edit(_own(world, "hash_id", body), body)
    return {"success": True, "template": template}


def delete(world: World, call: Call) -> dict[str, Any]:
    """DELETE template by `template_id` or `hash_id`."""
    body = call.fields()
    name = "template_id" if "template_id" in body else "hash_id"
    world.templates.delete(_own(world, name, body)["id"])
    return {"success": True}


def update_instance(world: World, call: Call) -> dict[str, Any]:
    """PUT instances/update_template/{id}: a new container in place; its files are lost."""
    contract, body = own_contract(world, call), call.fields()
    template = None
    if body.get("template_hash_id") is not None:
        template = world.templates.defaults(body["template_hash_id"])
    elif (number := body.get("template_id")) is not None:
        found = world.templates.by_id(number)
        if found is None:
            raise invalid_args(f"template_id: there is no template {number!r}.")
        template = world.templates.defaults(found["hash_id"])
    for name, value in read_update(body, template).items():
        setattr(contract, name, value)
    world.lifecycle.recycle(contract, call.now)
    return {"success": True, "updated_instance": instance_view(world, contract, call.now)}


def _own(world: World, name: str, body: dict[str, Any]) -> dict[str, Any]:
    find = world.templates.by_id if name == "template_id" else world.templates.by_hash
    template = find(body.get(name))
    if template is None or template["creator_id"] != world.account.user_id:
        raise APIError(404, "not_found", f"You have no template with {name} {body.get(name)!r}.")
    return template


def _check_env(body: dict[str, Any]) -> None:
    if not isinstance(body.get("env") or "", str):
        raise invalid_args('env: a template takes docker flags, such as "-e A=b -p 80:80".')
