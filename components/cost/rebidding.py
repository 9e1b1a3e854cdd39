"""Whether a machine's bid is changed in place, left, or given up for another machine. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.cost.bids import best_bid
from components.cost.estimate import estimate
from components.cost.experience import Experience

if TYPE_CHECKING:
    from components.cost.terms import Terms
    from components.cost.work import Work

_WORTH: Final = 0.02
"""Least share of the rest's cost that another bid has to save while the one there is wins: prices wander."""


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


def rebid(
    left: Work, terms: Terms, most: float, elsewhere: float, experience: Experience | None = None
) -> float | None:
    """Return the bid in $/h to change to, or None to leave it: it is good, or other machines are cheaper.

    One that wins follows the market both ways, where the rest then costs 2 % less in the mean, losses
    included. None is raised unless going on here then costs less than starting anew elsewhere.

    Args:
        left: what is left of the job, as it would be started anew.
        terms: of the machine: `price` is the bid now, `min_bid` the least that wins now.
        most: $/h that the bid may be.
        elsewhere: $ that `left` takes on the best other machine, its start included; infinity for none.
        experience: of earlier runs.
    """
    experience = experience or Experience()
    terms = terms.model_copy(update={"watched": True})  # or nobody would ask
    found = best_bid(left, terms, most, experience)
    if found is None or found[0].price == terms.price:
        return None
    better, taken = found
    here = going_on(left, better, experience)
    if better.price > terms.price and here >= elsewhere:
        return None
    wins = terms.min_bid is not None and terms.price >= terms.min_bid
    if wins and going_on(left, terms, experience) - here <= _WORTH * taken.total:
        return None
    return better.price


def going_on(left: Work, terms: Terms, experience: Experience) -> float:
    """Return the $ that `left` takes on a machine that has begun: without the start, which is paid."""
    begun = left.model_copy(update={"images": 0, "hours": 0, "returned": 0})
    return estimate(left, terms, experience).total - estimate(begun, terms, experience).total
