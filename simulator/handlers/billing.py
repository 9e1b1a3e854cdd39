"""Charges and invoices: the ledger as the API shows it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from simulator.errors import APIError
from simulator.ledger import NANO

if TYPE_CHECKING:
    from simulator.handlers.call import Call
    from simulator.world import World

Row = dict[str, Any]
WORDS = {
    "gpu": "GPU",
    "disk": "Storage",
    "bwd": "Download",
    "bwu": "Upload",
    "volume": "Volume storage",
}


def charges(world: World, call: Call) -> Row:
    """GET charges: one row per instance or volume, with its segments as items."""
    filters = _filters(call)
    first, last = _range(filters, "day")
    wanted = (filters.get("type") or {}).get("in")
    groups: dict[tuple[str, int], list[Row]] = {}
    for segment in world.ledger.segments(call.now):
        kind = "volume" if segment["kind"] == "volume" else "instance"
        overlaps = segment["start"] <= last and segment["stop"] >= first
        if overlaps and (wanted is None or kind in wanted):
            groups.setdefault((kind, segment["contract"]), []).append(segment)
    rows = [_charge(world, kind, number, items) for (kind, number), items in groups.items()]
    return _page(call, rows, 500)


def invoices(world: World, call: Call) -> Row:
    """GET v1 invoices: what was paid in. A bad range is a 200 that says so."""
    filters = _filters(call)
    try:
        first, last = _range(filters, "when")
    except APIError:
        raise APIError(200, "invalid_request", "Invalid date range") from None
    if first > last:
        raise APIError(200, "invalid_request", "Invalid date range")
    rows = [
        {
            "start": deposit["at"],
            "end": deposit["at"],
            "type": "transfer",
            "source": f"deposit-{deposit['id']}",
            "description": deposit["note"],
            "amount": deposit["amount"] / NANO,
            "metadata": {"service": "transfer"},
            "items": [],
        }
        for deposit in world.ledger.deposits()
        if first <= deposit["at"] <= last
    ]
    return _page(call, rows, 500)


def _charge(world: World, kind: str, number: int, segments: list[Row]) -> Row:
    contract = next((c for c in world.contracts.every() if c.id == number), None)
    metadata = {
        "template_id": (contract.template or {}).get("id") if contract else None,
        "label": contract.label if contract else None,
    }
    source = f"{kind}-{number}"
    items = [
        {
            "start": segment["start"],
            "end": segment["stop"],
            "type": segment["kind"],
            "source": "",
            "description": WORDS[segment["kind"]],
            "amount": segment["amount"] / NANO,
            "metadata": {},
            "items": [],
        }
        for segment in segments
    ]
    return {
        "start": min(segment["start"] for segment in segments),
        "end": max(segment["stop"] for segment in segments),
        "type": kind,
        "source": source,
        "description": f"{kind.capitalize()} {number}",
        "amount": sum(segment["amount"] for segment in segments) / NANO,
        "metadata": metadata,
        "items": items,
    }


def _filters(call: Call) -> Row:
    try:
        filters = json.loads(call.query.get("select_filters") or "{}")
    except ValueError:
        filters = None
    if not isinstance(filters, dict):
        raise APIError(400, "invalid_request", "select_filters: expected a JSON object.")
    return filters


def _range(filters: Row, name: str) -> tuple[float, float]:
    try:
        return float(filters[name]["gte"]), float(filters[name]["lte"])
    except (KeyError, TypeError, ValueError):
        text = f"missing {name} filters: {name} needs gte and lte, in epoch seconds."
        raise APIError(400, "invalid_request", text) from None


def _page(call: Call, rows: list[Row], most: int) -> Row:
    newest_first = call.query.get("latest_first", "false").lower() == "true"
    rows.sort(key=lambda row: (row["start"], row["source"]), reverse=newest_first)
    try:
        limit = min(max(1, int(call.query.get("limit", 20))), most)
        token = call.query.get("after_token")
        start = json.loads(base64.urlsafe_b64decode(token))["offset"] if token else 0
        page = rows[start : start + limit]
    except (ValueError, KeyError, TypeError):
        raise APIError(400, "invalid_token", "limit or after_token cannot be read.") from None
    end = start + len(page)
    more = base64.urlsafe_b64encode(json.dumps({"offset": end}).encode()).decode()
    return {
        "success": True,
        "results": page,
        "count": len(page),
        "total": len(rows),
        "next_token": more if end < len(rows) else None,
    }
