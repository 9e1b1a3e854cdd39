"""The offer search: Vast's aliases, virtual columns, defaults and controls over the market."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.offers import describe
from simulator.query import OPERATORS, Row, cast, compile_filters, invalid_request, sort_rows
from simulator.volumes import describe_volume_offer

if TYPE_CHECKING:
    from simulator.market import Market

DEFAULT_STORAGE, DEFAULT_VOLUME = 8.0, 1.0  # GB
DEFAULT_LIMIT = 64
DEFAULTS: Row = {"verified": {"eq": True}, "rentable": {"eq": True}, "rented": {"eq": False}}
FLAGS = ("disable_bundling", "chunked", "georegion")
KINDS = {
    "on-demand": "on-demand",
    "ondemand": "on-demand",
    "bid": "bid",
    "interruptible": "bid",
    "reserved": "reserved",
}
ALIASES = {
    "reliability2": "reliability",
    "dphtotal": "dph_total",
    "gpu_totalram": "gpu_total_ram",
    "gpu_totalram_GB": "gpu_total_ram",
    "gpu_ram_GB": "gpu_ram",
    "cpu_ram_GB": "cpu_ram",
    "ubuntu_version": "os_version",
    "driver_version": "driver_vers",
    "target_reliability": "expected_reliability",
}


def search_offers(market: Market, now: float, query: Row) -> list[Row]:
    """Return the offers that match a search body, priced for its `allocated_storage`.

    Raises:
        APIError: 400 `invalid_request`, naming the part that cannot be read.
    """
    query = {name: value for name, value in query.items() if name not in FLAGS}
    kind = _kind(query.pop("type", "on-demand"))
    storage = _storage(query, DEFAULT_STORAGE)
    rows = [
        describe(offer, market.quote(offer, now), now, storage=storage, kind=kind)
        for offer in market.offers
        if offer.index not in market.orders.delisted
    ]
    return _select(rows, {**DEFAULTS, **query}, storage)


def search_volume_offers(market: Market, now: float, query: Row) -> list[Row]:
    """Return the volume offers that match a search body: one for each machine.

    Raises:
        APIError: 400 `invalid_request`, naming the part that cannot be read.
    """
    query = {"verified": {"eq": True}, **query}
    storage = _storage(query, DEFAULT_VOLUME)
    rows = [describe_volume_offer(machine, now, storage) for machine in market.fleet]
    return _select(rows, query, storage)


def _select(rows: list[Row], query: Row, storage: float) -> list[Row]:
    order = _order(query.pop("order", [["score", "desc"]]))
    limit = _limit(query.pop("limit", DEFAULT_LIMIT))
    types = _types(rows[0])
    condition = compile_filters(_normalise(query), types)
    for name, _ in order:
        if name not in types:
            raise invalid_request(f"order: {name} is not a valid search key.")
    found = [row for row in rows if row["disk_space"] >= storage and condition({**row, **_virtual(row)})]
    return sort_rows(found, [*order, ("id", "asc")])[:limit]


def _kind(value: Any) -> str:
    if value not in KINDS:
        raise invalid_request(f"type: {value!r} is not one of {', '.join(KINDS)}.")
    return KINDS[value]


def _storage(filters: Row, default: float) -> float:
    """Return GB to price and require, from the control or from a filter of the same name."""
    value = filters.pop("allocated_storage", default)
    if isinstance(value, dict):
        value = next((value[op] for op in OPERATORS if op in value), default)
    return float(cast("allocated_storage", value, float))


def _order(value: Any) -> list[tuple[str, str]]:
    try:
        order = [(str(name), str(direction)) for name, direction in value]
    except (TypeError, ValueError):
        raise invalid_request('order: expected [["field", "asc" or "desc"], ...].') from None
    if any(direction not in ("asc", "desc") for _, direction in order):
        raise invalid_request("order: a direction is asc or desc.")
    return [(ALIASES.get(name, name), direction) for name, direction in order]


def _limit(value: Any) -> int:
    if value is None:
        return DEFAULT_LIMIT
    limit = int(cast("limit", value, float))
    if limit < 1:
        raise invalid_request("limit: must be at least 1.")
    return limit


def _normalise(filters: Row) -> Row:
    """Return the filters on real and virtual columns; those of one column are merged."""
    result: Row = {}
    for name, conditions in filters.items():
        if not isinstance(conditions, dict):
            raise invalid_request(f'{name}: expected {{"operator": value}}, got {conditions!r}.')
        target = result.setdefault(ALIASES.get(name, name), {})
        factor = 1000 if name.endswith("_GB") else 1
        for operator, value in conditions.items():
            target[operator] = value if factor == 1 else cast(name, value, float) * factor
    rented = result.get("rented", {})
    if rented.get("eq") in (True, "true"):
        del result["rented"]  # true also shows machines that the account already rents
    return result


def _types(row: Row) -> dict[str, type]:
    """Return the type of every field that may be filtered on."""
    types: dict[str, type] = {
        name: str if isinstance(value, str) else bool if isinstance(value, bool) else float
        for name, value in row.items()
        if not isinstance(value, dict | list)
    }
    return types | {
        "verified": bool,
        "datacenter": bool,
        "external": bool,
        "has_avx": float,
        "hostname": str,
        "webpage": str,
        "geolocation": str,
    }


def _virtual(row: Row) -> Row:
    return {
        "verified": row["verification"] == "verified",
        "datacenter": row["hosting_type"] >= 1,
        "geolocation": row["geolocation"][-2:],
    }
