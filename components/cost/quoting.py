"""From what may be rented to the quote of a job. Pure."""

from __future__ import annotations

from math import ceil, floor
from statistics import fmean
from typing import TYPE_CHECKING, Final, TypeAlias

from components.cost.estimate import estimate
from components.cost.quote import Option, Quote, Source, rounded
from components.cost.terms import Terms
from components.spec import gpus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from components.cost.estimate import Estimate
    from components.cost.experience import Experience
    from components.cost.work import Work
    from components.spec.budget import Budget
    from components.spec.node import Node

Way: TypeAlias = "tuple[Terms, Estimate]"
"""What may be rented, and what the job takes on it."""
_Class: TypeAlias = tuple[str, int, bool]

_OPTIONS: Final = 4


def quote(
    found: Iterable[Way],
    budget: Budget,
    work: Work,
    *,
    digest: str,
    when: float,
    source: Source,
    offers: Sequence[int] = (),
    machines: int = 1,
    kept: Sequence[Way] = (),
    locked: float | None = None,
    running: float = 0,
    before: float = 0,
    notes: Iterable[str] = (),
) -> Quote:
    """Return the quote of a job.

    Several machines are priced as the cheapest offers, each of which can be rented once. Any of them may come
    to get the dearest of these, so that is what the ceiling allows each.

    Args:
        found: what may be rented, with what the job takes on it, the cheapest in all first.
        budget: of the job.
        work: of one machine.
        digest: see `digest`.
        when: epoch seconds of the prices.
        source: where they come from.
        offers: the id of the offer of each of `found`; empty where the first serves for all machines.
        machines: that do that work, each for itself.
        kept: those of the machines that are there already, and what the job takes on each.
        locked: $ that the lock file allows for the whole job, in place of what is shown with its slack.
        running: $/h of what the stack rents now.
        before: $ of the job that it is on now.
        notes: what a person should know besides.
    """
    found, wanted = list(found), machines - len(kept)
    alone = _once(found, offers)[:wanted] if offers else found[:1] * wanted
    missing = wanted - len(alone) if alone else 0
    new = [*alone, *alone[-1:] * missing]
    fleet = [*kept, *new] if new else []
    options = [_option(alike, len(alike)) for alike in _classes(fleet).values()]
    options += _others(found, offers, fleet, machines)[: max(0, _OPTIONS - len(options))]
    ceiling, ceiling_from, warnings = None, "", [*notes, *work.assumed]
    dearest = max((taken for _, taken in new), key=lambda taken: taken.total, default=None)
    if dearest:
        total = dearest.total * machines
        of = "the dearest of them, for each" if total > new[0][1].total * machines else "what is shown"
        caps = [
            (locked, "the lock file") if locked is not None else (
                total * (1 + budget.slack), f"{budget.slack:.0%} above {of}"
            ),
            *([(budget.max_total, "budget.max_total")] if budget.max_total is not None else []),
        ]  # fmt: skip
        lowest, ceiling_from = min(caps, key=lambda cap: cap[0])
        ceiling = ceil(lowest * 10_000) / 10_000
        warnings += _warnings(dearest, budget, machines)
        if ceiling < total:
            then = "a lost machine is not replaced" if source == "what runs" else "`up` will rent nothing"
            warnings.append(f"dearer than {ceiling_from} allows: {then}")
        if missing:
            warnings.append(f"{short(wanted, len(alone))}: `up` will rent nothing")
    return Quote(
        digest=digest,
        when=round(when),
        source=source,
        machines=machines,
        options=tuple(options),
        dearest=floor(dearest.total * 10_000) / 10_000 if dearest else 0,
        missing=missing,
        slack=budget.slack,
        ceiling=ceiling,
        ceiling_from=ceiling_from,
        unbounded=_unbounded(budget),
        running=rounded(running),
        before=rounded(before),
        warnings=tuple(warnings),
    )


def short(machines: int, offers: int) -> str:
    """Say that fewer offers fit than machines are to be rented."""
    return f"{machines} machines are asked for, {offers} offer{'s fit' if offers != 1 else ' fits'}"


def bound(node: Node, work: Work, experience: Experience) -> list[Way]:
    """Return the dearest that `node` allows, for want of a market: its slowest GPU at its highest price."""
    price = node.fixed_bid or node.max_price
    names = dict.fromkeys(name for model in node.gpu.models for name in gpus.names(model))
    every = [
        Terms(
            gpu=name,
            gpus=node.gpu.count,
            price=price,
            min_bid=node.fixed_bid,
            up=node.internet.up,
            down=node.internet.down,
            reliability=node.reliability,
        )
        for name in names
    ]
    found = [(terms, estimate(work, terms, experience)) for terms in every]
    return [max(found, key=lambda pair: pair[1].total)]


def _once(found: Sequence[Way], offers: Sequence[int]) -> list[Way]:
    """Return the cheapest way to rent each offer.

    Slices of one machine are offers of their own: that those of one size overlap is not known of Vast.ai.
    """
    best: dict[int, Way] = {}
    for offer, way in zip(offers, found, strict=True):
        best.setdefault(offer, way)
    return list(best.values())


def _classes(found: Iterable[Way]) -> dict[_Class, list[Way]]:
    classes: dict[_Class, list[Way]] = {}
    for way in found:
        classes.setdefault(_class(way), []).append(way)
    return classes


def _others(found: Sequence[Way], offers: Sequence[int], fleet: Sequence[Way], machines: int) -> list[Option]:
    """Return the classes of which all machines could be instead: with as many offers as machines."""
    there = _classes(fleet)
    others = [alike for name, alike in _classes(found).items() if name not in there]
    if not offers:
        return [_option(alike[:1], 0) for alike in others]
    return [_option(alike[:machines], 0) for alike in others if len(alike) >= machines]


def _class(way: Way) -> _Class:
    terms, _ = way
    return terms.gpu, terms.gpus, terms.interruptible


def _option(alike: Sequence[Way], machines: int) -> Option:
    """Return the class of what is `alike`, by the mean of it."""
    every = [found for _, found in alike]
    disks = [part.dollars for found in every for part in found.parts if part.name == "disk"]
    gpu, gpus, interruptible = _class(alike[0])
    return Option(
        gpu=gpu,
        gpus=gpus,
        interruptible=interruptible,
        price=rounded(fmean(found.rate for found in every)),
        hours=round(max(found.hours for found in every), 2),
        total=rounded(fmean(found.total for found in every)),
        p90=rounded(fmean(found.p90 for found in every)),
        storage=rounded(fmean(disks)),
        traffic=rounded(fmean(found.traffic for found in every)),
        machines=machines,
        most=rounded(max(found.rate for found in every)) if len(every) > 1 else 0,
    )


def _unbounded(budget: Budget) -> str:
    if budget.max_total is not None:
        return ""
    limits = {"lease": budget.lease, "idle": budget.idle, "max_time": budget.max_time}
    left = " or ".join(name for name, seconds in limits.items() if seconds not in (None, "off"))
    return f"no budget.max_total: what runs is ended by {f'{left} only' if left else 'nothing'}"


def _warnings(found: Estimate, budget: Budget, machines: int) -> Sequence[str]:
    warnings = []
    left = budget.hours_until_deadline()
    if left is not None and found.p90_hours > left:
        warnings.append(
            f"budget.deadline: one run in ten takes more than {found.p90_hours:.1f} h; {left:.1f} h are left"
        )
    if budget.max_total is not None and found.p90 * machines > budget.max_total:
        warnings.append(
            f"budget.max_total: one run in ten costs more than {budget.max_total:.2f} $, and is ended by then"
        )
    return warnings
