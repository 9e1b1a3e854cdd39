"""What a machine's resource shows of it, from the API's words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.vast.status import Status, status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.vast.lifecycle import Machine
    from components.vast.wire import Instance


def observed(instance: Instance) -> dict[str, Any]:
    """Return the outputs that `pulumi refresh` reads anew: what is rented, its state and its price.

    Vast.ai names no bid: the GPUs' $/h of an interruptible instance are it.
    """
    return {
        "instance_id": instance.id,
        "machine_id": instance.machine_id,
        "status": str(status(instance)),
        "gpu": instance.gpu_name,
        "gpu_count": instance.num_gpus,
        "vram": instance.gpu_ram,
        "location": instance.geolocation or "",
        "price": round(instance.dph_total, 6),
        "storage_cost": instance.storage_cost,
        "up_cost": instance.inet_up_cost,
        "down_cost": instance.inet_down_cost,
        "interruptible": instance.is_bid,
        "bid": round(instance.dph_base, 6) if instance.is_bid else None,
        "rented": instance.start_date,
        "label": instance.label or "",
    }


def outputs(machine: Machine) -> dict[str, Any]:
    """Return everything that a verified machine's resource shows, its SSH address and host key included."""
    login = machine.login
    return {
        **observed(machine.instance),
        "host": login.host,
        "port": login.port,
        "host_key": login.host_key,
        **_public(machine.instance),
    }


def refreshed(old: Mapping[str, Any], instance: Instance) -> dict[str, Any]:
    """Return the outputs `old` as they are now; the SSH address follows where a running machine moved."""
    new = {**old, **observed(instance)}
    if new["status"] != Status.RUNNING:
        return new
    addresses = [address for address in (instance.direct, instance.proxy) if address]
    if addresses and (old["host"], int(old["port"])) not in addresses:
        new["host"], new["port"] = addresses[0]
    if instance.ports:
        new |= _public(instance)
    return new


def _public(instance: Instance) -> dict[str, Any]:
    """Return where the world reaches the opened ports: the host's address, and the public port of each."""
    return {"address": instance.public_ipaddr, "ports": instance.opened}


def drift(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say what moved between two readings, as `status running -> outbid`; empty if nothing did."""
    moved = [name for name in ("status", "price", "host", "port", "ports") if old.get(name) != new.get(name)]
    return ", ".join(f"{name} {_shown(old[name])} -> {_shown(new[name])}" for name in moved)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
