"""What a person is shown before anything is rented, and what that approves. Pure."""

from __future__ import annotations

import json
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal

from components.cost.estimate import estimate
from components.cost.purchase import Money, Shown
from components.cost.terms import Terms
from components.spec import gpus
from components.spec.base import Spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from components.cost.estimate import Estimate
    from components.cost.experience import Experience
    from components.cost.work import Work
    from components.spec.budget import Budget
    from components.spec.node import Node

Source = Literal["market", "last known", "preset", "what runs"]
"""Where prices come from: asked now, earlier, `node.max_price` for want of any, or the machine itself."""

_OPTIONS: Final = 4
_PRICED: Final = {"max_total", "deadline", "hours", "slack"}
_UNPRICED: Final = {"label", "limits", "env", "adopt"}
_ASKED: Final = {"kind", "images", "megapixels", "batch", "gpus", "hours"}


class Option(Spec):
    """One class of offers, by the cheapest of it: for one machine."""

    gpu: str
    gpus: int = 1
    interruptible: bool = False
    price: Money
    """$/h, GPUs and disk."""
    hours: float
    """From renting to the end, in the mean."""
    total: Money
    """$ in the mean, all parts."""
    p90: Money
    """$ that nine of ten runs stay below."""
    storage: Money = 0
    """$ of `total` for the disk."""
    traffic: Money = 0
    """$ of `total` for bytes in and out."""

    @property
    def name(self) -> str:
        """The class, for a person."""
        return f"{self.gpus}x {self.gpu}, {'interruptible' if self.interruptible else 'on demand'}"


class Quote(Spec):
    """The price of a job on the market of one moment."""

    digest: str
    """Of what was asked; see `digest`."""
    when: float
    """Epoch seconds of the prices."""
    source: Source
    machines: int = 1
    options: tuple[Option, ...] = ()
    """The cheapest class first, which is what would be rented; empty where nothing fits."""
    slack: Money = 0
    """budget.slack."""
    ceiling: Money | None = None
    """$ for the whole job above which nothing is rented; None for none."""
    ceiling_from: str = ""
    """What sets it, for a person."""
    running: Money = 0
    """$/h of what the stack rents now, which this would replace or go on with."""
    before: Money = 0
    """$ that the job that it is on now was expected to take."""
    warnings: tuple[str, ...] = ()

    @property
    def price(self) -> float:
        """$/h of all machines."""
        return self.options[0].price * self.machines if self.options else 0.0

    @property
    def total(self) -> float:
        """$ of the whole job in the mean."""
        return self.options[0].total * self.machines if self.options else 0.0

    @property
    def p90(self) -> float:
        """$ that nine of ten whole jobs stay below, all machines alike."""
        return self.options[0].p90 * self.machines if self.options else 0.0

    @property
    def alternative(self) -> Option | None:
        """The cheapest class but the first."""
        return self.options[1] if len(self.options) > 1 else None

    def shown(self) -> Shown | None:
        """Return what a person sees of one machine."""
        if not self.options:
            return None
        first = self.options[0]
        return Shown(price=first.price, total=first.total, p90=first.p90)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's output `cost`: plain numbers, $ and hours, of the whole job."""
        if not self.options:
            return {"digest": self.digest, "machines": self.machines, "prices": self.source}
        first, many = self.options[0], self.machines
        other = self.alternative
        return {
            "digest": self.digest,
            "gpu": first.gpu,
            "gpus": first.gpus,
            "interruptible": first.interruptible,
            "machines": many,
            "pricePerHour": _round(first.price * many),
            "hours": first.hours,
            "total": _round(first.total * many),
            "p90": _round(first.p90 * many),
            "storage": _round(first.storage * many),
            "traffic": _round(first.traffic * many),
            "ceiling": self.ceiling,
            "alternative": other and f"{other.name}: {other.total * many:.2f} $ in {other.hours:.1f} h",
            "prices": self.source,
            "pricesAt": self.when,
            "change": {
                "pricePerHour": _round(self.price - self.running),
                "total": _round(self.total - self.before),
            },
        }


def restored(cost: dict[str, Any]) -> Quote:
    """Return what `Quote.outputs` tells of the quote that it was made from."""
    many = int(cost["machines"])
    if "gpu" not in cost:
        return Quote(digest=cost["digest"], when=0, source=cost["prices"], machines=many)
    option = Option(
        gpu=cost["gpu"],
        gpus=int(cost["gpus"]),
        interruptible=cost["interruptible"],
        price=cost["pricePerHour"] / many,
        hours=cost["hours"],
        **{name: cost[name] / many for name in ("total", "p90", "storage", "traffic")},
    )
    return Quote(
        digest=cost["digest"],
        when=cost["pricesAt"],
        source=cost["prices"],
        machines=many,
        options=(option,),
        ceiling=cost["ceiling"],
        ceiling_from="as approved",
        running=_round(cost["pricePerHour"]),
        before=cost["total"],
    )


def digest(node: Node, budget: Budget, work: Work, machines: int = 1) -> str:
    """Identify what is priced: the node, the budget's caps, what is trained and for how long.

    What fragua derives or assumes, such as the size of an image, is no part of it, so that a newer version
    does not make an approval stale.
    """
    parts = (
        node.model_dump(mode="json", exclude_defaults=True, exclude=_UNPRICED),
        budget.model_dump(mode="json", exclude_defaults=True, include=_PRICED),
        work.model_dump(mode="json", include=_ASKED),
        machines,
    )
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


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
            warnings.append(f"dearer than {ceiling_from} allows: `up` will rent nothing")
    return Quote(
        digest=digest,
        when=round(when),
        source=source,
        machines=machines,
        options=options,
        slack=budget.slack,
        ceiling=ceiling,
        ceiling_from=ceiling_from,
        running=_round(running),
        before=_round(before),
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
        price=_round(found.rate),
        hours=round(found.hours, 2),
        total=_round(found.total),
        p90=_round(found.p90),
        storage=_round(dollars["disk"]),
        traffic=_round(dollars["traffic in"] + dollars["traffic out"]),
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


def _round(dollars: float) -> float:
    """Return hundredths of a cent."""
    return round(dollars, 4)
