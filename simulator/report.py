"""The bill as people read it: per contract and in total, dollars and seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.ledger import NANO, TRAFFIC
from simulator.volumes import KIND as VOLUME

if TYPE_CHECKING:
    from simulator.contracts import Contract
    from simulator.world import World


def ledger_report(world: World) -> dict[str, Any]:
    """Return what every contract has cost so far, and what costs now.

    Dollars are exact decimal fractions of the ledger's nano-dollars.
    """
    now = world.settle()
    segments = world.ledger.segments(now)
    by_contract: dict[int, list[dict[str, Any]]] = {}
    for segment in segments:
        by_contract.setdefault(segment["contract"], []).append(segment)
    contracts = [
        _contract(world, contract, by_contract.get(contract.id, []), now)
        for contract in world.contracts.every()
    ]
    total = sum(segment["amount"] for segment in segments)
    return {
        "now": now,
        "contracts": contracts,
        "total": total / NANO,
        "spent_nano": total,
        "gpu": _sum(segments, "gpu"),
        "disk": _sum(segments, "disk"),
        "traffic": _sum(segments, *TRAFFIC),
        "volumes": _sum(segments, VOLUME),
        "credit": world.ledger.credit(now) / NANO,
        "billing_now": sum(contract["billing_now"] for contract in contracts),
        "gpu_billing_now": sum(contract["gpu_billing_now"] for contract in contracts),
        "volumes_billing_now": len(world.volumes.every()),
    }


def _contract(world: World, contract: Contract, segments: list[dict[str, Any]], now: float) -> dict[str, Any]:
    return {
        "id": contract.id,
        "label": contract.label,
        "machine_id": contract.machine_id,
        "gpu_name": contract.offer["gpu_name"],
        "num_gpus": contract.offer["num_gpus"],
        "is_bid": contract.bid is not None,
        "status": "destroyed" if contract.destroyed_at is not None else contract.status,
        "seconds": world.contracts.seconds_by_status(contract.id, now),
        "gpu": _sum(segments, "gpu"),
        "disk": _sum(segments, "disk"),
        "traffic": _sum(segments, *TRAFFIC),
        "total": sum(segment["amount"] for segment in segments) / NANO,
        "billing_now": contract.destroyed_at is None and not contract.offline,
        "gpu_billing_now": world.ledger.is_open(contract.id, "gpu"),
        "segments": segments,
    }


def _sum(segments: list[dict[str, Any]], *kinds: str) -> float:
    return float(sum(row["amount"] for row in segments if row["kind"] in kinds)) / NANO
