"""From what may be rented to the quote of a job. Pure."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

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

_OPTIONS: Final = 4


def quote(
    found: Iterable[tuple[Terms, Estimate]],
    budget: Budget,
    work: Work,
    *,
    digest: str,
    when: float,
    source: Source,
    machines: int = 1,
    locked: float | None = None,
    running: float = 0,
    before: float = 0,
    notes: Iterable[str] = (),
) -> Quote:
    """Return the quote of a job.

    Args:
        found: what may be rented, with what the job takes on it, the cheapest in all first.
        budget: of the job.
        work: of one machine.
        digest: see `digest`.
        when: epoch seconds of the prices.
        source: where they come from.
        machines: that do that work, each for itself.
        locked: $ that the lock file allows for the whole job, in place of what is shown with its slack.
        running: $/h of what the stack rents now.
        before: $ of the job that it is on now.
        notes: what a person should know besides.
    """
    best: dict[tuple[str, int, bool], tuple[Terms, Estimate]] = {}
    for terms, taken in found:
        best.setdefault((terms.gpu, terms.gpus, terms.interruptible), (terms, taken))
    options = tuple(_option(*each) for each in list(best.values())[:_OPTIONS])
    ceiling, ceiling_from, warnings = None, "", [*notes, *work.assumed]
    first = next(iter(best.values()), None)
    if first:
        total = first[1].total * machines
        caps = [
            (locked, "the lock file") if locked is not None else (
                total * (1 + budget.slack), f"{budget.slack:.0%} above what is shown"
            ),
            *([(budget.max_total, "budget.max_total")] if budget.max_total is not None else []),
        ]  # fmt: skip
        lowest, ceiling_from = min(caps, key=lambda cap: cap[0])
        ceiling = ceil(lowest * 10_000) / 10_000
        warnings += _warnings(first[1], budget, machines)
        if ceiling < total:
            then = "a lost machine is not replaced" if source == "what runs" else "`up` will rent nothing"
            warnings.append(f"dearer than {ceiling_from} allows: {then}")
    return Quote(
        digest=digest,
        when=round(when),
        source=source,
        machines=machines,
        options=options,
        slack=budget.slack,
        ceiling=ceiling,
        ceiling_from=ceiling_from,
        running=rounded(running),
        before=rounded(before),
        warnings=tuple(warnings),
    )


def bound(node: Node, work: Work, experience: Experience) -> list[tuple[Terms, Estimate]]:
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


def _option(terms: Terms, found: Estimate) -> Option:
    dollars = {part.name: part.dollars for part in found.parts}
    return Option(
        gpu=terms.gpu,
        gpus=terms.gpus,
        interruptible=terms.interruptible,
        price=rounded(found.rate),
        hours=round(found.hours, 2),
        total=rounded(found.total),
        p90=rounded(found.p90),
        storage=rounded(dollars["disk"]),
        traffic=rounded(dollars["traffic in"] + dollars["traffic out"]),
    )


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
