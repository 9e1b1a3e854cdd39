"""The paged list of instances (v1): filters on stored columns, cursors, counts by label."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from simulator.errors import APIError
from simulator.query import Row, compile_filters, invalid_request, sort_rows
from simulator.views import instance_view

if TYPE_CHECKING:
    from simulator.handlers.call import Call
    from simulator.world import World

MAX_PAGE, SMALL_PAGE = 25, 5
COLUMNS: dict[str, type] = {
    "id": float,
    "machine_id": float,
    "host_id": float,
    "bundle_id": float,
    "label": str,
    "actual_status": str,
    "intended_status": str,
    "cur_state": str,
    "next_state": str,
    "image_uuid": str,
    "gpu_name": str,
    "verification": str,
    "template_id": float,
    "template_hash_id": str,
    "start_date": float,
    "end_date": float,
    "is_bid": bool,
}
"""The columns that a contract stores; nothing else can be filtered or sorted on."""


def list_v1(world: World, call: Call) -> dict[str, Any]:
    """GET v1 instances."""
    query = call.query
    condition = compile_filters(_json(query, "select_filters", {}, dict), COLUMNS)
    order = _order(_json(query, "order_by", [], list))
    columns = _json(query, "select_cols", ["*"], list)
    rows = [instance_view(world, contract, call.now) for contract in world.contracts.live()]
    rows = sort_rows(filter(condition, rows), order)
    start = _start(rows, order, query["after_token"]) if query.get("after_token") else 0
    page = rows[start : start + _limit(query)]
    more = start + len(page) < len(rows)
    return {
        "success": True,
        "instances_found": len(page),
        "total_instances": len(rows),
        "label_counts": dict(Counter(row["label"] or "" for row in rows)),
        "next_token": _token(page[-1], order) if more else None,
        "instances": [_select(row, columns) for row in page],
    }


def filters(world: World, call: Call) -> dict[str, Any]:
    """GET instances/filters: the values one can filter for."""
    names = ("actual_status", "gpu_name", "verification")
    rows = [instance_view(world, contract, call.now) for contract in world.contracts.live()]
    combinations = {tuple(row[name] for name in names) for row in rows}
    ordered = sorted(combinations, key=lambda values: tuple(map(str, values)))
    return {"success": True, "filters": [dict(zip(names, v, strict=True)) for v in ordered]}


def _select(row: Row, columns: list[Any]) -> Row:
    return row if "*" in columns else {str(name): row.get(str(name)) for name in columns}


def _json(query: dict[str, str], name: str, default: Any, kind: type) -> Any:
    raw = query.get(name)
    if not raw:
        return default
    try:
        value = json.loads(raw)
    except ValueError:
        raise invalid_request(f"{name}: not valid JSON.") from None
    if not isinstance(value, kind):
        raise invalid_request(f"{name}: expected a JSON {kind.__name__}.")
    return value


def _limit(query: dict[str, str]) -> int:
    try:
        limit = int(query.get("limit", MAX_PAGE))
    except ValueError:
        raise invalid_request("limit: not a number.") from None
    return min(limit, MAX_PAGE) if limit > 0 else SMALL_PAGE


def _order(keys: list[Any]) -> list[tuple[str, str]]:
    order = []
    for key in keys:
        if not isinstance(key, dict) or key.get("dir", "asc") not in ("asc", "desc"):
            raise invalid_request('order_by: expected [{"col": name, "dir": "asc" or "desc"}].')
        if key.get("col") not in COLUMNS:
            raise invalid_request(f"order_by: {key.get('col')} is not a valid search key.")
        order.append((str(key["col"]), str(key.get("dir", "asc"))))
    return order if any(name == "id" for name, _ in order) else [*order, ("id", "asc")]


def _token(row: Row, order: list[tuple[str, str]]) -> str:
    values = {name: row[name] for name, _ in order}
    return base64.urlsafe_b64encode(json.dumps({"values": values}).encode()).decode()


def _start(rows: list[Row], order: list[tuple[str, str]], token: str) -> int:
    """Return where the page after `token` begins, even if its row is gone by now."""
    try:
        values = json.loads(base64.urlsafe_b64decode(token))["values"]
        last = {name: values[name] for name, _ in order}
        marker = {**last, "is marker": True}
        merged = sort_rows([marker, *rows], order)
    except (ValueError, KeyError, TypeError):
        raise APIError(400, "invalid_token", "after_token: not a cursor of this query.") from None
    place = next(n for n, row in enumerate(merged) if "is marker" in row)
    following = rows[place : place + 1]
    return place + (1 if following and following[0]["id"] == last["id"] else 0)
