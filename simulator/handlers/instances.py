"""Reading instances and acting on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.errors import APIError, invalid_args, no_such_instance
from simulator.fields import number, numbers
from simulator.handlers.call import Call, own_contract
from simulator.views import instance_view

if TYPE_CHECKING:
    from simulator.world import World

MAX_LABEL = 1024


def show(world: World, call: Call) -> dict[str, Any]:
    """GET instances/{id}: one object under the plural key, without `ports`; null if unknown."""
    contract = world.contracts.get(call.path["id"])
    if contract is None:
        return {"instances": None}
    view = instance_view(world, contract, call.now)
    del view["ports"]
    return {"instances": view}


def list_v0(world: World, call: Call) -> dict[str, Any]:
    """GET v0 instances: everything at once."""
    live = world.contracts.live()
    return {"instances": [instance_view(world, contract, call.now) for contract in live]}


def manage(world: World, call: Call) -> dict[str, Any]:
    """PUT instances/{id}: start, stop or label."""
    contract, body = own_contract(world, call), call.fields()
    if "label" in body:
        if call.key.instance is not None:
            raise APIError(
                403, "auth_error", "A container's key starts, stops and destroys its instance only."
            )
        label = body["label"]
        if label is not None and not isinstance(label, str):
            raise invalid_args("label: expected a string.")
        if label and len(label) > MAX_LABEL:
            raise APIError(400, "label_too_long", f"label: at most {MAX_LABEL} characters.")
        contract.label = label
        world.contracts.save(contract)
    if "state" in body:
        _set_state(world, call, contract.id, body["state"])
    elif "label" not in body:
        raise invalid_args("expected state or label.")
    return {"success": True, "msg": ""}


def manage_bulk(world: World, call: Call) -> dict[str, Any]:
    """PUT instances: start or stop several."""
    body = call.fields()
    ids = numbers(body, "ids")
    for contract_id in ids:
        if world.contracts.get(contract_id) is None:
            raise no_such_instance(contract_id)
    for contract_id in ids:
        _set_state(world, call, contract_id, body.get("state"))
    return {"success": True}


def _set_state(world: World, call: Call, contract_id: int, state: Any) -> None:
    contract = world.contracts.get(contract_id)
    if contract is None:
        raise no_such_instance(contract_id)
    if state == "stopped":
        world.lifecycle.stop(contract, call.now)
    elif state == "running":
        if call.now >= contract.end_date:
            raise invalid_args("The contract has reached its end date and cannot be started.")
        if world.ledger.credit(call.now) <= 0:
            raise APIError(400, "missing_billing", "Your account lacks credit.")
        world.lifecycle.start(contract, call.now)
    else:
        raise invalid_args(f"state: {state!r} is not running or stopped.")


def destroy(world: World, call: Call) -> dict[str, Any]:
    """DELETE instances/{id}."""
    if world.contracts.get(call.path["id"]) is None:
        raise APIError(404, "not_found", "Instance not found")
    world.destroy(call.path["id"], call.now)
    return {"success": True, "msg": ""}


def destroy_bulk(world: World, call: Call) -> dict[str, Any]:
    """DELETE instances: several at once; those that are gone already are fine."""
    for contract_id in numbers(call.fields(), "instance_ids"):
        world.destroy(contract_id, call.now)
    return {"success": True}


def change_bid(world: World, call: Call) -> dict[str, Any]:
    """PUT instances/bid_price/{id}: $/h for the whole machine; null takes the winning bid."""
    contract = own_contract(world, call)
    if contract.bid is None:
        raise invalid_args("The instance is on demand; it has no bid.")
    price = number(call.fields(), "price")
    if price is None:
        price = round(world.admission.winning_bid(contract, call.now) * 1.02, 4)
    highest = 32.0 * contract.offer["num_gpus"]
    if not 0.001 <= price <= highest:
        raise invalid_args(f"price: {price:g} is not within 0.001 and {highest:g} $/h.")
    world.lifecycle.rebid(contract, call.now, price)
    return {"success": True}


def reboot(world: World, call: Call) -> dict[str, Any]:
    """PUT instances/reboot/{id}."""
    contract = own_contract(world, call)
    if contract.actual != "running":
        raise invalid_args("The instance is not running.")
    world.lifecycle.reboot(contract, call.now)
    return {"success": True}


def recycle(world: World, call: Call) -> dict[str, Any]:
    """PUT instances/recycle/{id}: a fresh container in place; its files are lost."""
    world.lifecycle.recycle(own_contract(world, call), call.now)
    return {"success": True}
