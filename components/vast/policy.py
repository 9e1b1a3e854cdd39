"""What a change of each field of a node does to a machine that is already rented. Pure.

The market is never asked here: prices move hourly, and a plan must not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from components.spec import gpus
from components.vast.conditions import MIB_PER_GB
from components.vast.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping


class Effect(Enum):
    """What a changed field asks for."""

    REPLACE = "rent another machine"
    UPDATE = "change the rented machine in place"
    KEEP = "matters only when choosing an offer"
    GPU = "replace if the rented GPU no longer serves"


NODE: Final[dict[str, Effect]] = {
    "gpu": Effect.GPU,
    "image": Effect.REPLACE,
    "disk": Effect.REPLACE,
    "env": Effect.REPLACE,
    "ports": Effect.REPLACE,
    "adopt": Effect.KEEP,
    "bid": Effect.UPDATE,  # between on demand and interruptible: replaced, unless `auto` allows both
    "label": Effect.UPDATE,
    "cpu": Effect.KEEP,
    "ram": Effect.KEEP,
    "internet": Effect.KEEP,
    "max_price": Effect.KEEP,
    "reliability": Effect.KEEP,
    "verified": Effect.KEEP,
    "countries": Effect.KEEP,
    "avoid": Effect.KEEP,
    "datacenter": Effect.KEEP,
    "preset": Effect.KEEP,
    "limits": Effect.KEEP,
}
"""The effect of each field of `components.spec.node.Node`."""


@dataclass(frozen=True)
class Change:
    """Which fields, by name, ask for a new machine, and which for a change in place."""

    replace: tuple[str, ...] = ()
    update: tuple[str, ...] = ()


def compare(old: Mapping[str, Any], new: Mapping[str, Any], machine: Mapping[str, Any]) -> Change:
    """Return what has to happen so that `machine`, rented for `old`, serves `new`.

    Args:
        old: the node as it was last applied, as JSON without its defaults.
        new: the node as it is now declared, likewise.
        machine: the resource's outputs: `gpu`, `gpu_count`, `vram` (MiB), `status`, `instance_id`, and
            `interruptible`, which states of earlier versions lack.
    """
    known = machine.get("interruptible")
    by_bid = "bid" in old if known is None else known
    changed = [name for name in NODE if old.get(name) != new.get(name)]
    replace = [name for name in changed if NODE[name] is Effect.REPLACE]
    update = [name for name in changed if NODE[name] is Effect.UPDATE]
    if "gpu" in changed and not _serves(machine, new["gpu"]):
        replace.append("gpu")
    if "adopt" in new and new["adopt"] != machine["instance_id"]:
        replace.append("adopt")
    if new.get("bid") != "auto" and by_bid != ("bid" in new):
        replace.append("bid")
    if not by_bid and "bid" in update:  # on demand there is no bid to change
        update.remove("bid")
    if machine["status"] == Status.STOPPED or (machine["status"] == Status.OUTBID and "bid" in update):
        update.append("status")
    elif machine["status"] in (Status.OUTBID, Status.SCHEDULING, Status.CRASHED):
        replace.append("status")
    return Change(tuple(replace), tuple(update))


def _serves(machine: Mapping[str, Any], gpu: Mapping[str, Any]) -> bool:
    names = {name for model in gpu["models"] for name in gpus.names(model)}
    return (
        machine["gpu"] in names
        and machine["gpu_count"] == gpu.get("count", 1)
        and machine["vram"] >= gpu.get("vram", 0) * MIB_PER_GB
    )
