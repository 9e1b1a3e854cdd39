"""Local volumes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from simulator.errors import APIError, invalid_args
from simulator.fields import number
from simulator.offers import FIRST_VOLUME_ASK
from simulator.search import search_volume_offers

if TYPE_CHECKING:
    from simulator.handlers.call import Call
    from simulator.world import World

DEFAULT_SIZE = 15.0
NAME = re.compile(r"\w{1,64}", re.ASCII)


def search(world: World, call: Call) -> dict[str, Any]:
    """POST volumes/search."""
    return {"offers": search_volume_offers(world.market, call.now, call.fields())}


def create(world: World, call: Call) -> dict[str, Any]:
    """PUT volumes: the answer names the volume, not its id."""
    body = call.fields()
    index = int(number(body, "id") or 0) - FIRST_VOLUME_ASK
    if not 0 <= index < len(world.market.fleet):
        raise invalid_args(f"id: there is no volume offer {body.get('id')!r}.")
    machine = world.market.fleet[index]
    size, name = number(body, "size") or DEFAULT_SIZE, body.get("name")
    if not 1 <= size <= machine.disk_space * 0.5:
        raise invalid_args(f"size: {size:g} GB is not within 1 and {machine.disk_space * 0.5:g}.")
    if name is not None and not (isinstance(name, str) and NAME.fullmatch(name)):
        raise invalid_args("name: expected at most 64 letters, digits and underscores.")
    volume = world.volumes.create(machine, size, name, call.now)
    return {"success": True, "volume_name": f"V.{volume['id']}"}


def show(world: World, call: Call) -> dict[str, Any]:
    """GET volumes: `type` is local_volume, network_volume or all_volume."""
    if call.query.get("type", "all_volume") == "network_volume":
        return {"volumes": []}
    return {"volumes": world.volumes.every()}


def delete(world: World, call: Call) -> dict[str, Any]:
    """DELETE volumes: `id` in the query or in the body."""
    raw = call.query.get("id", call.fields().get("id"))
    try:
        volume_id = int(str(raw))
    except ValueError:
        raise invalid_args("id: expected the number of a volume.") from None
    if not world.volumes.delete(volume_id, call.now):
        raise APIError(404, "no_such_volume", f"There is no volume {volume_id}.")
    return {"success": True}
