"""The price in the plan: what a stack's job costs, what a person was shown of it, and what `up` may rent.

The market moves no plan: a stack that is up and asked for the same keeps the price that it was approved at,
and nobody is asked. Else a preview asks once and shows; `up` goes by what was shown last for the same job,
however long ago: dearer is not rented until a preview showed it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pulumi

from components.cost.purchase import Purchase
from components.cost.quote import restored
from components.cost.quoting import short
from components.errors import NoOffer, NotApproved, SpecError, VastError
from components.record.experience import read_experience
from components.stacks import lock as locks
from components.stacks import shown
from components.stacks.shown import Shown
from components.vast import policy
from components.vast.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.cost.experience import Experience
    from components.cost.quote import Quote
    from components.spec.node import Node
    from components.stacks.asked import Asked
    from components.stacks.lock import Lock

_NO_TIME: Final = 1 / 3600
"""Hours, which no machine keeps: of a deadline that passed while a machine runs."""
_STACK: Final = "pulumi:pulumi:Stack"
_INSTANCE: Final = "pulumi-python:dynamic/vast:Instance"
_KEY: Final = "pulumi-python:dynamic/vast:SshKey"


@dataclass(frozen=True)
class Priced:
    """A job with its price.

    Attributes:
        node: of each machine.
        purchase: what each machine's resource may rent, as JSON.
        lease: what ends each machine when nobody looks, as JSON.
        outputs: of the stack: `cost`, or nothing where a machine is adopted.
    """

    node: Node
    purchase: dict[str, Any]
    lease: dict[str, Any]
    outputs: dict[str, Any]


@dataclass(frozen=True)
class _Before:
    """What the state holds of the stack: its output `cost`, its machines by name, and its public key."""

    cost: dict[str, Any] | None
    machines: Mapping[str, dict[str, Any]]
    key: str = ""

    @property
    def total(self) -> float:
        """$ that the job was expected to take."""
        return float((self.cost or {}).get("total", 0))

    @property
    def running(self) -> float:
        """$/h of the machines that run."""
        return float(sum(each["price"] for each in self.machines.values() if each["status"] == "running"))

    def kept(self, asked: Asked) -> list[dict[str, Any]]:
        """Return the machines that would go on for `asked`."""
        found = [self.machines[name] for name in _names(asked) if name in self.machines]
        return [each for each in found if not _change(each, asked).replace]

    def lacks(self, asked: Asked) -> list[str]:
        """Return the names of the machines that would be rented for `asked`."""
        kept = self.kept(asked)
        return [name for name in _names(asked) if self.machines.get(name) not in kept]

    def keeps(self, asked: Asked) -> bool:
        """Whether `up` would rent nothing for `asked`."""
        return not self.lacks(asked)

    def raised(self, asked: Asked) -> list[dict[str, Any]]:
        """Return those machines whose bid `up` would raise."""
        bid = asked.node.fixed_bid
        return [
            each
            for each in self.kept(asked)
            if bid is not None
            and "bid" in _change(each, asked).update
            and bid > (each.get("bid") or each["price"])
        ]


def priced(asked: Asked, place: Callable[[str], str]) -> Priced:
    """Find the price of `asked`, say it, and return what may be rented.

    Args:
        asked: what the stack asks for.
        place: tells where a field of the job stands, such as `configs/my.yaml:12: `.

    Raises:
        SpecError: the deadline is past, the cheapest offer or a raised bid is dearer than budget.max_total,
            or the lock file is stale or unreadable, or does not allow a raised bid.
        NoOffer: `up` would find nothing to rent, or too little for all machines.
        NotApproved: `up` would rent some of the machines only, or earlier ones have cost budget.max_total.
        BalanceTooLow: `up` could not pay for all machines.
    """
    stack = pulumi.get_stack()
    path = locks.file(Path(), stack)
    lock = locks.read(path, stack)
    if asked.node.adopt is not None:
        return Priced(asked.node, _purchase(asked, None, lock), asked.lease, {})
    fresh, before = lock if lock and lock.digest == asked.digest else None, _before()
    quote, cost = _quote(asked, before, stack, fresh, place)
    if lock:
        lock.check(asked.digest, stack, path)
    purchase = _purchase(asked, quote, lock)
    if raised := before.raised(asked):
        _check_bid(asked, raised, Purchase.model_validate(purchase), place)
    rented = len(before.lacks(asked))
    if rented > 1 and not pulumi.runtime.is_dry_run():
        _check_fleet(asked, quote, Purchase.model_validate(purchase), rented)
    return Priced(asked.node, purchase, asked.lease, {"cost": cost})


def _quote(
    asked: Asked, before: _Before, stack: str, lock: Lock | None, place: Callable[[str], str]
) -> tuple[Quote, dict[str, Any]]:
    """Return the quote that holds, and the output that tells it."""
    last, keeps, now = shown.read(stack), before.keeps(asked), time.time()
    known = last.of(asked.digest) if last else None
    old = before.cost if before.cost and before.cost["digest"] == asked.digest else None
    if old and keeps:
        if last is None or last.quote is not known:
            shown.write(stack, Shown(quote=known or restored(old), at=now))
        return restored(old), old
    notes = []
    if not keeps:
        asked.check_deadline(place)
        notes = _spent(asked, before, place)
    if not pulumi.runtime.is_dry_run():
        if last and known and known.options and not known.missing:
            shown.write(stack, last.model_copy(update={"quote": known, "tried": now}))
            _affordable(asked, known, place)
            return known, known.outputs()
        if old and restored(old).options:
            return restored(old), old
    quote = _new(asked, before, stack, lock, last.tried if last else 0, notes)
    _affordable(asked, quote, place)
    return quote, quote.outputs()


def _new(
    asked: Asked, before: _Before, stack: str, lock: Lock | None, tried: float, notes: list[str]
) -> Quote:
    """Find out what `asked` costs now, and say it.

    Where nothing fits, a preview says so; an `up` ends, so that what is there is not destroyed for nothing.
    """
    from components.cost.render import text  # noqa: PLC0415 - an unchanged stack is not slowed down
    from components.stacks import pricing  # noqa: PLC0415 - likewise
    from components.vast.unmet import nothing_fits  # noqa: PLC0415 - likewise

    now, going = time.time(), not pulumi.runtime.is_dry_run()
    nothing = None
    if before.keeps(asked):
        quote = pricing.going_on(
            asked,
            before.kept(asked),
            _experience(),
            running=before.running,
            before=before.total,
            lock=lock,
        )
    else:
        newer_than = now if going else tried
        ranking, seen = pricing.ranked(asked, pulumi.runtime.get_config, lock, newer_than)
        kept = [pricing.there(asked, [machine], _experience()) for machine in before.kept(asked)]
        quote = pricing.quoted(asked, ranking, seen, lock, before.running, before.total, kept)
        quote = quote.model_copy(update={"warnings": (*quote.warnings, *notes)})
        if quote.missing:
            wanted = asked.machines - len(kept)
            nothing = NoOffer(
                f"{short(wanted, wanted - quote.missing)}: {ranking.explain()}. Ask for fewer replicas, "
                "loosen a condition of node, or try later. Nothing was rented."
            )
        elif not quote.options:
            nothing = nothing_fits(ranking)
    shown.write(stack, Shown(quote=quote, at=now, tried=now if going else 0))
    if going and nothing:
        raise nothing
    first, *rest = text(quote)
    pulumi.log.info("\n  ".join([f"price: {first}", *rest]))
    return quote


def _spent(asked: Asked, before: _Before, place: Callable[[str], str]) -> list[str]:
    """Say what was spent by earlier machines of those that are to be rented, before anything is destroyed.

    Where that cannot be read, no preview is stopped by it: what is known here is judged by `up`.
    """
    from components.vast import earlier  # noqa: PLC0415 - likewise
    from components.vast.request import owner_of  # noqa: PLC0415 - likewise

    most = asked.budget.max_total
    if most is None or not before.key:
        return []
    ending = {owner_of(before.key, name): before.machines.get(name, {}) for name in before.lacks(asked)}
    try:
        found = earlier.look(Settings(pulumi.runtime.get_config).api(patient=False), ending)
    except VastError:  # there is no key; the quote says so
        return []
    if found[0].problem and pulumi.runtime.is_dry_run():
        return [found[0].problem]
    try:
        return [line for each in found for line in earlier.told(each, most, asked.machines)]
    except NotApproved as error:
        raise NotApproved(f"{place('budget.max_total')}{error}") from None


def _affordable(asked: Asked, quote: Quote, place: Callable[[str], str]) -> None:
    most = asked.budget.max_total
    if quote.source != "market" or most is None:
        return
    if quote.total > most:
        raise SpecError(
            f"{place('budget.max_total')}budget.max_total: {most:.2f} $ is less than the cheapest that "
            f"fits is expected to take, {quote.total:.2f} $ on {quote.options[0].name}: raise it, or ask "
            "for less; nothing is rented"
        )
    if (each := quote.dearest) > most / asked.machines:
        raise SpecError(
            f"{place('budget.max_total')}budget.max_total: {most:.2f} $ is {most / asked.machines:.2f} $ for "
            f"each of {asked.machines} machines, and the dearest is expected to take {each:.2f} $: raise it "
            f"to {each * asked.machines + 0.01:.2f} $, or ask for less; nothing is rented"
        )


def _check_fleet(asked: Asked, quote: Quote, purchase: Purchase, machines: int) -> None:
    """End before the first of several machines is rented where the last could not be.

    Each resource looks for its own machine only.
    """
    from components.vast import balance  # noqa: PLC0415 - likewise

    if quote.source == "market" and not purchase.allows(quote.dearest):
        raise NotApproved(
            f"the dearest of {machines} machines is expected to take {quote.dearest:.2f} $, but "
            f"{purchase.approved or 0:.2f} $ were approved for each: renew that (`pulumi preview`, or "
            "`./fragua cost STACK --lock`), or ask for fewer replicas. Nothing was rented."
        )
    share, up = machines / asked.machines, asked.work.kind == "up"
    balance.cover(
        Settings(pulumi.runtime.get_config).api(),
        needed=share * (quote.begun(asked.work.hours) if up else quote.total),
        likely=share * quote.p90,
        what=f"setup and one hour of {machines} machines" if up else "the job",
        say=pulumi.log.info,
    )


def _check_bid(
    asked: Asked, raised: list[dict[str, Any]], purchase: Purchase, place: Callable[[str], str]
) -> None:
    """Hold a bid that is raised in place to what may be rented: by the hour, and for the whole job."""
    from components.stacks import pricing  # noqa: PLC0415 - likewise

    for machine in raised:
        terms, taken = pricing.there(asked, [machine], purchase.experience)
        if refusal := purchase.model_copy(update={"hours": None}).refusal(terms, taken):
            raise SpecError(
                f"{place('node.bid')}node.bid: {asked.node.fixed_bid:g} $/h on the {terms.gpu} that runs is "
                f"{refusal} ({taken.rate:.3f} $/h with its disk, {taken.total:.2f} $ in all): bid less, or "
                "allow more; nothing is changed"
            )


def _purchase(asked: Asked, quote: Quote | None, lock: Lock | None) -> dict[str, Any]:
    """Return what each machine may cost, as the input of its resource."""
    most, many, left = asked.budget.max_total, asked.machines, asked.budget.hours_until_deadline()
    ceiling = lock.max_total if lock else (quote.ceiling or 0) if quote else None
    purchase = Purchase(
        work=asked.work,
        max_total=None if most is None else most / many,
        approved=None if ceiling is None else ceiling / many,
        hours=None if left is None else max(left, _NO_TIME),
        classes=lock.classes if lock else (),
        experience=_experience(),
        shown=quote.shown() if quote else None,
    )
    return purchase.model_dump(mode="json", exclude_defaults=True)


def _change(machine: Mapping[str, Any], asked: Asked) -> policy.Change:
    node = asked.node.model_dump(mode="json", exclude_defaults=True)
    return policy.compare(machine["node"], node, machine)


def _experience() -> Experience:
    return read_experience(Settings(pulumi.runtime.get_config).url)


def _before() -> _Before:
    """Ask the engine what the state holds of this stack; nothing where it cannot tell."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        reply = pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {"stackName": name})
    except Exception as error:  # noqa: BLE001 - the SDK raises no other; a price is no reason to fail
        pulumi.log.debug(f"the state cannot be read: {error}")
        return _Before(None, {})
    rows = (reply.value or {}).get("outputs", {})
    of = {
        kind: {urn: row["outputs"] for urn, row in rows.items() if row["type"] == kind}
        for kind in (_STACK, _INSTANCE, _KEY)
    }
    cost = next((row.get("cost") for row in of[_STACK].values()), None)
    try:
        restored(cost or {})
    except (KeyError, TypeError, ValueError):  # there is none, or another version of fragua wrote it
        cost = None
    machines = {urn.rpartition("::")[2]: row for urn, row in of[_INSTANCE].items()}
    return _Before(cost, machines, next((row["public_key"] for row in of[_KEY].values()), ""))


def _names(asked: Asked) -> list[str]:
    return ["node", *(f"node-{number}" for number in range(2, asked.machines + 1))]
