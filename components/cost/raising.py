"""Whether a bid is raised on the machine that it has, or the job goes on elsewhere. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.cost.bids import best_bid
from components.cost.estimate import estimate
from components.cost.experience import Experience

if TYPE_CHECKING:
    from components.cost.terms import Terms
    from components.cost.work import Work

_WORTH: Final = 0.02
"""Least share of the rest's cost that raising a bid which still wins has to save: prices wander."""


def rest(work: Work, share: float) -> Work:
    """Return what is left of `work`, a `share` of it from 0 to 1; its starts are as they were."""
    return work.model_copy(
        update={
            "images": work.images * share,
            "hours": work.hours * share,
            "returned": work.returned * share,
            "saves": max(1, round(work.saves * share)),
        }
    )


def raised(
    left: Work, terms: Terms, most: float, elsewhere: float, experience: Experience | None = None
) -> float | None:
    """Return the bid in $/h to raise to, or None to leave it: it is good, or other machines are cheaper.

    A bid is never lowered. One that wins is raised where the mean of what it then costs, losses included, is
    less by 2 %; one that lost, where going on here costs less than starting anew elsewhere.

    Args:
        left: what is left of the job, as it would be started anew.
        terms: of the machine: `price` is the bid now, `min_bid` the least that wins now.
        most: $/h that the bid may be.
        elsewhere: $ that `left` takes on the best other machine, its start included; infinity for none.
        experience: of earlier runs.
    """
    experience = experience or Experience()
    found = best_bid(left, terms, most, experience)
    if found is None or found[0].price <= terms.price:
        return None
    better, taken = found
    wins = terms.min_bid is not None and terms.price >= terms.min_bid
    if wins:
        saved = going_on(left, terms, experience) - going_on(left, better, experience)
        return better.price if saved > _WORTH * taken.total else None
    return better.price if going_on(left, better, experience) < elsewhere else None


def going_on(left: Work, terms: Terms, experience: Experience) -> float:
    """Return the $ that `left` takes on a machine that has begun: without the start, which is paid."""
    begun = left.model_copy(update={"images": 0, "hours": 0, "returned": 0})
    return estimate(left, terms, experience).total - estimate(begun, terms, experience).total
