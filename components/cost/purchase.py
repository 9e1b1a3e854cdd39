"""What may be rented for a job: what was shown to a person and approved, and the hard caps. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from components.cost.experience import Experience
from components.cost.work import Work
from components.spec.base import Spec

if TYPE_CHECKING:
    from components.cost.estimate import Estimate
    from components.cost.terms import Terms

Money = Annotated[float, Field(ge=0)]
"""$, or $/h."""


class Shown(Spec):
    """What a person was shown of one machine before it was approved."""

    price: Money
    """$/h, GPUs and disk."""
    total: Money
    """$ in the mean, over its part of the job."""
    p90: Money
    """$ that nine of ten runs stay below."""
    when: float | None = None
    """Epoch seconds of the prices."""

    def __str__(self) -> str:
        """What it was and when, for a person."""
        when = (
            ""
            if self.when is None
            else f" by prices of {datetime.fromtimestamp(self.when, UTC):%Y-%m-%d %H:%M} UTC"
        )
        return f"{self.total:.2f} ${when}"


class OfferClass(Spec):
    """Offers that are alike for whoever approves: one GPU model and count, on demand or by a bid."""

    gpu: str
    """As Vast.ai spells it."""
    gpus: Annotated[int, Field(ge=1)] = 1
    interruptible: bool = False
    max_price: Annotated[float, Field(gt=0)]
    """Most $/h, GPUs and disk."""

    def covers(self, terms: Terms) -> bool:
        """Return whether `terms` are of this class, whatever their price."""
        return (self.gpu, self.gpus, self.interruptible) == (terms.gpu, terms.gpus, terms.interruptible)


class Purchase(Spec):
    """One machine's part of what was approved."""

    work: Work
    max_total: Annotated[float, Field(gt=0)] | None = None
    """$ that the job may be expected to cost: the job's hard cap."""
    before: Money = 0
    """$ of it that earlier machines cost."""
    approved: Money | None = None
    """$ likewise: the total that was shown, with its slack; 0 where nothing that is offered fits, None where
    nothing was asked."""
    hours: Annotated[float, Field(gt=0)] | None = None
    """Until the deadline."""
    classes: tuple[OfferClass, ...] = ()
    """The only classes that may be rented; empty for any."""
    experience: Experience = Experience()
    shown: Shown | None = None

    def most(self, terms: Terms) -> float:
        """Return $/h, GPUs and disk, that `terms` may come to: infinity where no class is named."""
        if not self.classes:
            return inf
        return max((each.max_price for each in self.classes if each.covers(terms)), default=0.0)

    def allows(self, total: float) -> bool:
        """Return whether the job may cost so many $ in all."""
        return all(total <= cap for cap in (self.max_total, self.approved) if cap is not None)

    def refusal(self, terms: Terms, found: Estimate) -> str:
        """Say why what was approved does not allow `terms`, which take `found`; empty if it does."""
        covering, total = [each for each in self.classes if each.covers(terms)], found.total
        who = "the lock file allows" if self.classes else "were approved"
        shown = f" (shown: {self.shown})" if self.shown and not self.classes else ""
        left = f"{self.max_total or 0:.2f} $ less the {self.before:.2f} $ that earlier machines cost"
        checks = (
            (self.classes and not covering, "of a class that the lock file does not name"),
            (found.rate > self.most(terms), "dearer by the hour than the lock file allows"),
            (
                total > (inf if self.max_total is None else self.max_total),
                f"dearer in all than budget.max_total, {self.max_total or 0:.2f} $",
            ),
            (
                self.before + found.begun > (inf if self.max_total is None else self.max_total),
                f"dearer to begin with than what is left of budget.max_total, {left}",
            ),
            (
                total > (inf if self.approved is None else self.approved),
                f"dearer in all than the {self.approved or 0:.2f} $ that {who}{shown}",
            ),
            (
                found.hours > (self.hours or inf),
                f"too slow for the deadline in {self.hours or 0:.1f} h",
            ),
        )
        return next((words for refused, words in checks if refused), "")
