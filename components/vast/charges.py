"""What instances bill now, and what the account was charged, sorted by what it was for. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from components.cost.terms import HOURS_PER_MONTH
from components.vast.tag import Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from components.vast.machines import Gone
    from components.vast.wire import Charge, Instance

_DISK_ONLY: Final = (None, "created", "loading", "stopped", "exited")
_NAMES: Final = {"gpu": "gpu", "disk": "disk", "bwd": "down", "bwu": "up"}
_DAY: Final = 86400
_LATE: Final = _DAY
"""Seconds by which a charge may come late: how late is not documented, and rows are of days."""
_DUST: Final = 5e-7
"""$ by which items may miss their sum: they are rounded."""


@dataclass(frozen=True)
class Sums:
    """$ by what they were for.

    Attributes:
        gpu: GPUs while they ran.
        disk: storage, from renting to destroying.
        down: traffic into machines.
        up: traffic out of them.
        other: what the API gives no known name.
    """

    gpu: float = 0
    disk: float = 0
    down: float = 0
    up: float = 0
    other: float = 0

    @property
    def total(self) -> float:
        """$ in all."""
        return self.gpu + self.disk + self.down + self.up + self.other

    def __add__(self, more: Sums) -> Sums:
        return Sums(*(getattr(self, each.name) + getattr(more, each.name) for each in fields(Sums)))

    @classmethod
    def of(cls, charge: Charge) -> Sums:
        """Return what one charge was for; the whole is the charge's own amount, whatever its items say."""
        parts: defaultdict[str, float] = defaultdict(float)
        for item in charge.items:
            parts[_NAMES.get(item.type, "other")] += item.amount
        rest = charge.amount - sum(parts.values())
        if abs(rest) > _DUST:
            parts["other"] += rest
        return cls(**parts)


@dataclass(frozen=True)
class Owner:
    """What an instance was rented for: a stack, and the run or runs that trained on it."""

    stack: str
    run: str = ""


@dataclass(frozen=True)
class Line:
    """One line of a bill; `owner` is None for what is not fragua's."""

    owner: Owner | None
    instances: tuple[int, ...]
    sums: Sums


def bill(charges: Iterable[Charge], owners: Mapping[int, Owner]) -> list[Line]:
    """Return a line for each stack and run, the dearest first, and a last one for what is not fragua's.

    Args:
        charges: of the account.
        owners: by instance; for others the label's words stand for the stack.
    """
    sums: defaultdict[Owner | None, Sums] = defaultdict(Sums)
    instances: defaultdict[Owner | None, set[int]] = defaultdict(set)
    for charge in charges:
        tag = Tag.read(charge.label)
        owner = owners.get(charge.instance or 0) or (Owner(tag.words) if tag else None)
        sums[owner] += Sums.of(charge)
        if charge.instance:
            instances[owner].add(charge.instance)
    lines = [Line(owner, tuple(sorted(instances[owner])), found) for owner, found in sums.items()]
    return sorted(lines, key=lambda line: (line.owner is None, -line.sums.total, line.instances))


def spent(charges: Iterable[Charge]) -> dict[int, float]:
    """Return $ by instance; one without a row was not charged yet, and is not there."""
    found: defaultdict[int, float] = defaultdict(float)
    for charge in charges:
        if charge.instance:
            found[charge.instance] += charge.amount
    return dict(found)


def earlier(charges: Sequence[Charge], gone: Iterable[Gone], owner: str, now: float) -> dict[int, float]:
    """Return $ by instance of the machines that a resource had, those of which nothing is charged yet too.

    What Vast.ai has charged counts. For what it may have not yet, a machine counts at its price from its last
    charge, if that is of the last day, until it was known to be gone; but for no more than all its time.

    Args:
        charges: of the account; empty where they cannot be read.
        gone: machines of the resource that are known here to be gone.
        owner: the part of their label that says whose they are.
        now: epoch seconds.
    """
    known = {each.instance: each for each in gone}
    rows = [each for each in charges if owner in each.label or each.instance in known]
    found = spent(rows)
    for machine in known.values():
        end = max((row.end for row in rows if row.instance == machine.instance), default=0)
        begin = end - _DAY if end > now else end  # of a day that is not over, nobody knows what it covers
        last = max(machine.rented, begin)
        charged = found.get(machine.instance, 0.0)
        if last == machine.rented or now - last < _LATE:
            late, all_ = (
                machine.rate * max(0.0, machine.until - since) / 3600 for since in (last, machine.rented)
            )
            found[machine.instance] = max(charged, min(charged + late, all_))
    return {instance: max(0.0, dollars) for instance, dollars in found.items()}


def rate(instance: Instance) -> float:
    """Return $/h that `instance` bills now.

    The GPU bills while it runs, the disk in every state but offline. Where the API does not say what a state
    bills (`unknown`, `rebooting`), the whole price is assumed.
    """
    if instance.actual_status == "offline":
        return 0.0
    if instance.actual_status in _DISK_ONLY:
        return instance.storage_cost * instance.disk_space / HOURS_PER_MONTH
    return instance.dph_total


def clock(instances: Iterable[Instance], here: float) -> float:
    """Return the present in epoch seconds: by the API's own clock, or by this computer's if that is later.

    What is judged by its age must not look young because this computer's clock is behind.
    """
    ends = [
        each.end_date - each.duration for each in instances if each.end_date and each.duration is not None
    ]
    return max(here, *ends) if ends else here
