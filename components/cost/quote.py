"""What a person is shown before anything is rented, and what that approves. Pure."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

from components.cost.purchase import Money, Shown
from components.spec.base import Spec

if TYPE_CHECKING:
    from components.cost.work import Work
    from components.spec.budget import Budget
    from components.spec.node import Node

Source = Literal["market", "last known", "preset", "what runs"]
"""Where prices come from: asked now, earlier, `node.max_price` for want of any, or the machine itself."""

_PRICED: Final = {"max_total", "deadline", "hours", "slack"}
_UNPRICED: Final = {"label", "limits", "env", "adopt"}
_ASKED: Final = {"kind", "images", "megapixels", "batch", "gpus", "hours"}


class Option(Spec):
    """One class of offers, by the cheapest of it: for one machine, in the mean where several are rented."""

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
    machines: int = 0
    """Of the stack's machines so many would be of it; 0 for a class that all could be instead."""
    most: Money = 0
    """$/h of the dearest of them; 0 where they are alike."""

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
    """First what would be rented, then what could be instead, each the cheapest first; empty where nothing
    fits."""
    dearest: Money = 0
    """$ in the mean on the dearest machine that is still to be rented, as each may come to get that offer;
    0 where it is not known."""
    missing: int = 0
    """Machines for which no offer is left; they are priced as the dearest for which one is."""
    slack: Money = 0
    """budget.slack."""
    ceiling: Money | None = None
    """$ for the whole job above which nothing is rented; None for none."""
    ceiling_from: str = ""
    """What sets it, for a person."""
    unbounded: str = ""
    """Where no $ end a machine that runs: what does, for a person."""
    running: Money = 0
    """$/h of what the stack rents now, which this would replace or go on with."""
    before: Money = 0
    """$ that the job that it is on now was expected to take."""
    warnings: tuple[str, ...] = ()

    @property
    def fleet(self) -> tuple[Option, ...]:
        """What would be rented: classes with how many machines are of each."""
        mixed = tuple(each for each in self.options if each.machines)
        return mixed or tuple(
            each.model_copy(update={"machines": self.machines}) for each in self.options[:1]
        )

    @property
    def others(self) -> tuple[Option, ...]:
        """The classes of which all machines could be instead."""
        return self.options[len(self.fleet) :]

    @property
    def price(self) -> float:
        """$/h of all machines."""
        return sum(each.price * each.machines for each in self.fleet)

    @property
    def hours(self) -> float:
        """Until the last machine's part is done, in the mean."""
        return max((each.hours for each in self.fleet), default=0.0)

    @property
    def total(self) -> float:
        """$ of the whole job in the mean."""
        return sum(each.total * each.machines for each in self.fleet)

    @property
    def p90(self) -> float:
        """$ that nine of ten whole jobs stay below, all machines alike."""
        return sum(each.p90 * each.machines for each in self.fleet)

    @property
    def storage(self) -> float:
        """$ of `total` for disks."""
        return sum(each.storage * each.machines for each in self.fleet)

    @property
    def traffic(self) -> float:
        """$ of `total` for bytes in and out."""
        return sum(each.traffic * each.machines for each in self.fleet)

    @property
    def alternative(self) -> Option | None:
        """The cheapest class but those that would be rented."""
        return next(iter(self.others), None)

    def begun(self, hours: float) -> float:
        """Return $ that all machines take at the most until they were up for an hour, of `hours` in all."""
        return sum(
            each.machines * (each.traffic + each.price * max(0.0, each.hours - hours + min(hours, 1.0)))
            for each in self.fleet
        )

    def shown(self) -> Shown | None:
        """Return what a person sees of one machine, in the mean."""
        if not self.options:
            return None
        many = self.machines
        return Shown(
            price=rounded(self.price / many),
            total=rounded(self.total / many),
            p90=rounded(self.p90 / many),
            when=self.when,
        )

    def outputs(self) -> dict[str, Any]:
        """Return the stack's output `cost`: plain numbers, $ and hours, of the whole job."""
        if not self.options:
            return {"digest": self.digest, "machines": self.machines, "prices": self.source}
        first, many, other = self.fleet[0], self.machines, self.alternative
        return {
            "digest": self.digest,
            "gpu": first.gpu,
            "gpus": first.gpus,
            "interruptible": first.interruptible,
            "machines": many,
            **({"of": {each.name: each.machines for each in self.fleet}} if len(self.fleet) > 1 else {}),
            "pricePerHour": rounded(self.price),
            "hours": self.hours,
            "total": rounded(self.total),
            "p90": rounded(self.p90),
            "storage": rounded(self.storage),
            "traffic": rounded(self.traffic),
            "ceiling": self.ceiling,
            "alternative": other and f"{other.name}: {other.total * many:.2f} $ in {other.hours:.1f} h",
            "prices": self.source,
            "pricesAt": self.when,
            "change": {
                "pricePerHour": rounded(self.price - self.running),
                "total": rounded(self.total - self.before),
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
        running=rounded(cost["pricePerHour"]),
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


def rounded(dollars: float) -> float:
    """Return hundredths of a cent."""
    return round(dollars, 4)
