"""Searching and renting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.errors import APIError, invalid_args
from simulator.fields import numbers
from simulator.rental import Request, read_request, rent
from simulator.search import search_offers

if TYPE_CHECKING:
    from simulator.handlers.call import Call
    from simulator.world import World


def bundles(world: World, call: Call) -> dict[str, Any]:
    """POST bundles: search."""
    return {"offers": search_offers(world.market, call.now, call.fields())}


def asks(world: World, call: Call) -> dict[str, Any]:
    """PUT search/asks: the newer form of the search."""
    body = call.fields()
    query, columns = body.get("q"), body.get("select_cols")
    if not isinstance(query, dict) or not isinstance(columns, list):
        raise APIError(400, "invalid_request", "expected select_cols (a list) and q (an object).")
    rows = search_offers(world.market, call.now, query)
    if "*" not in columns:
        rows = [{name: row.get(name) for name in columns} for row in rows]
    return {"offers": rows}


def create(world: World, call: Call) -> dict[str, Any]:
    """PUT asks/{id}: rent one offer."""
    offer_id = call.path["id"]
    try:
        request = _request(world, call)
    except APIError as error:
        error.extra["ask_id"] = offer_id
        raise
    contract = rent(world, offer_id, request, call.now)
    return {
        "success": True,
        "new_contract": contract.id,
        "instance_api_key": contract.container_key,
    }


def create_bulk(world: World, call: Call) -> dict[str, Any]:
    """POST asks/bulk: rent several offers with one body.

    Its answer is not documented, so it says as little as it may; offers that are gone are skipped.
    """
    ids = numbers(call.fields(), "ids")
    request = _request(world, call)
    for offer_id in ids:
        try:
            rent(world, offer_id, request, call.now)
        except APIError as error:
            if "no_such_ask" not in f"{error.error} {error.msg}":
                raise
    return {"success": True}


def launch(world: World, call: Call) -> dict[str, Any]:
    """PUT launch_instance: rent the first offer that a search finds."""
    body = call.fields()
    query = body.get("q", {})
    if not isinstance(query, dict):
        raise APIError(400, "invalid_query", "q: expected an object.")
    if not isinstance(body.get("num_gpus", query.get("num_gpus")), int | dict):
        raise invalid_args("num_gpus: required.")
    found = search_offers(world.market, call.now, {"limit": 1, **query})
    if not found:
        raise APIError(404, "no_offer", "No offer matches the query.")
    contract = rent(world, found[0]["id"], _request(world, call), call.now)
    return {"success": True, "new_contract": str(contract.id)}


def _request(world: World, call: Call) -> Request:
    body = call.fields()
    template = None
    if (hash_id := body.get("template_hash_id")) is not None:
        template = world.templates.defaults(hash_id)
    return read_request(body, template)
