"""Which instances bill for nothing: by the account's list, the stacks' states and the clock. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

from components.vast.charges import rate
from components.vast.status import Status, status
from components.vast.tag import Tag

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from components.vast.lease import LeaseStatus
    from components.vast.wire import Instance

GRACE: Final = 1800.0
"""Seconds in which an instance without a state may be what some `pulumi up` is just renting."""
_LATE: Final = 600.0
"""Seconds after its end in which a machine should have ended itself."""


class Kind(StrEnum):
    """What is wrong with an instance."""

    ORPHAN = "orphan"
    """No stack's state has it."""
    EXPIRED = "expired"
    """Past its lease or its longest time, and not ended by itself."""
    STUCK = "stuck"
    """Loading longer than its job allows, and never verified."""
    STOPPED = "stopped"
    """Its GPU does not work for its stack, its disk bills."""
    OFFLINE = "offline"
    """Its host is not heard from; the disk bills again when it is back."""
    UNWATCHED = "unwatched"
    """It runs, and the watchdog that should end it does not."""


@dataclass(frozen=True)
class Machine:
    """A machine as a stack's state has it.

    Attributes:
        instance: its id.
        name: of its resource.
        status: as it was last read.
        boot: seconds that it may load: `node.limits.boot`.
        max_time: seconds after which it ends itself; 0 for no such end.
        at_end: what it then does to itself while there are checkpoints that are not at home.
    """

    instance: int
    name: str
    status: str = Status.RUNNING
    boot: float = 1200
    max_time: float = 0
    at_end: Literal["stop", "destroy"] = "stop"


@dataclass(frozen=True)
class State:
    """What a stack's state says of machines.

    Attributes:
        stack: its name.
        keys: `fragua:KEY:` of each SSH key that it has; in the label of every machine rented for it.
        machines: that it has.
        renting: seconds that an `up` may still wait for what it rents now; 0 where none is under way or was
            broken off.
        trains: whether a training runs on its machine: checkpoints may be there that are nowhere else.
    """

    stack: str
    keys: tuple[str, ...] = ()
    machines: tuple[Machine, ...] = ()
    renting: float = 0
    trains: bool = False


@dataclass(frozen=True)
class Finding:
    """An instance that bills for nothing.

    Attributes:
        instance: as the account lists it.
        stack: that has it, or the words of its label.
        kind: what is wrong.
        why: the same in words, with what to do.
        action: what reaping does: `leave` is for what may hold work, which is destroyed only if it is named.
    """

    instance: Instance
    stack: str
    kind: Kind
    why: str
    action: Literal["destroy", "stop", "leave"]

    @property
    def rate(self) -> float:
        """$/h that it bills now."""
        return rate(self.instance)


def judge(
    instances: Iterable[Instance],
    states: Iterable[State],
    now: float,
    *,
    grace: float = GRACE,
    complete: bool = True,
    named: Collection[int] = (),
    leases: Mapping[int, LeaseStatus] | None = None,
) -> list[Finding]:
    """Return what bills for nothing, the dearest first. Nothing without fragua's label is ever among it.

    Args:
        instances: of the account.
        states: of all stacks that could be read.
        now: the present, in epoch seconds.
        grace: age in seconds below which nothing is called an orphan.
        complete: whether every stack could be read; otherwise only what is `named` is called an orphan.
        named: instances that a person named.
        leases: of the machines that could be asked, by instance.
    """
    known = list(states)
    having = {machine.instance: (state, machine) for state in known for machine in state.machines}
    stacks = {key: state for state in known for key in state.keys}
    found: list[Finding] = []
    for instance in instances:
        if not (tag := Tag.read(instance.label)):
            continue
        age = max(0.0, now - instance.start_date) if instance.start_date else 0.0
        if instance.id in having:
            finding = _kept(instance, *having[instance.id], age, (leases or {}).get(instance.id))
        elif complete or instance.id in named:
            finding = _unkept(instance, tag, stacks.get(tag.key), age, grace)
        else:
            finding = None
        if finding:
            found.append(finding)
    return sorted(found, key=lambda each: (-each.rate, each.instance.id))


def undecided(instances: Iterable[Instance], states: Iterable[State]) -> list[int]:
    """Return the instances with fragua's label that none of `states` has."""
    having = {machine.instance for state in states for machine in state.machines}
    return [each.id for each in instances if Tag.read(each.label) and each.id not in having]


def _unkept(instance: Instance, tag: Tag, state: State | None, age: float, grace: float) -> Finding | None:
    """Judge an instance that no state has; `state` is that of the stack which it was rented for, if known."""
    if age < max(grace, state.renting if state else 0):
        return None
    since = f"rented {span(age)} ago"
    if state is None:
        why = f"{since}; in no stack's state"
        return Finding(instance, tag.words, Kind.ORPHAN, why, "destroy")
    stack, instead = state.stack, [str(each.instance) for each in state.machines if each.name == tag.name]
    if instead:
        why = f"which has {', '.join(instead)} as its {tag.name}: `pulumi up -s {stack}` leaves this one"
    else:
        why = f"whose state has no {tag.name}: `pulumi up -s {stack}` takes it up or destroys it"
    why = f"{since} for stack {stack}, {why}, `pulumi destroy -s {stack}` destroys it"
    return Finding(instance, stack, Kind.ORPHAN, why, "destroy")


def _kept(
    instance: Instance, state: State, machine: Machine, age: float, lease: LeaseStatus | None
) -> Finding | None:
    """Judge an instance that a state has."""
    now, stack = status(instance), state.stack
    if now is Status.RUNNING:
        return _running(instance, state, machine, age, lease)
    if now is Status.PROVISIONING:
        if machine.status == Status.RUNNING or age < machine.boot:
            return None
        why = f"loading for {span(age)}, and node.limits.boot is {span(machine.boot)}"
        return Finding(instance, stack, Kind.STUCK, why, "destroy")
    remedy = f"`pulumi up --refresh -s {stack}` goes on, `pulumi destroy -s {stack}` ends it"
    if now is Status.OFFLINE:
        return Finding(instance, stack, Kind.OFFLINE, f"its host is not heard from; {remedy}", "leave")
    return Finding(instance, stack, Kind.STOPPED, f"{now}, and its disk bills; {remedy}", "leave")


def _running(
    instance: Instance, state: State, machine: Machine, age: float, lease: LeaseStatus | None
) -> Finding | None:
    if why := _overdue(machine, age, lease):
        stops = state.trains and machine.at_end == "stop"
        return Finding(instance, state.stack, Kind.EXPIRED, why, "stop" if stops else "destroy")
    if lease and not lease.alive:
        why = f"its watchdog does not run, and nothing else ends it: `./fragua renew {state.stack}` starts it"
        return Finding(instance, state.stack, Kind.UNWATCHED, why, "leave")
    return None


def _overdue(machine: Machine, age: float, lease: LeaseStatus | None) -> str:
    """Say why a running machine should have ended itself; empty if it should not."""
    if lease and lease.ended:
        return f"its watchdog could not end it: {lease.ended}"
    if lease and lease.left is not None and lease.left < -_LATE:
        return f"past its limit, {lease.by}, for {span(-lease.left)}"
    if machine.max_time and age > machine.max_time + _LATE:
        return f"past budget.max_time, {span(machine.max_time)}, and did not end itself"
    return ""


def span(seconds: float) -> str:
    """Say a time as a person does: `12 min`, `3.5 h`, `4.2 days`."""
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"
