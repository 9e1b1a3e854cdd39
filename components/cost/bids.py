"""Which bid costs least in the end: a higher one is dearer by the hour and lost less often. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.cost.estimate import Estimate, estimate

if TYPE_CHECKING:
    from components.cost.experience import Experience
    from components.cost.terms import Terms
    from components.cost.work import Work

_RATIOS: Final = (1.0, 1.05, 1.1, 1.2, 1.3, 1.45, 1.6, 1.8, 2.0, 2.5, 3.0)
_STEP: Final = 1000
"""Bids are whole tenths of a cent, rounded up."""


def best_bid(work: Work, terms: Terms, most: float, experience: Experience) -> tuple[Terms, Estimate] | None:
    """Return the terms with the bid that makes `work` cheapest, and what it then takes.

    Args:
        work: the job.
        terms: of the offer, with its least bid.
        most: $/h that the bid may be.
        experience: of earlier runs.

    Returns:
        None where even the least bid is above `most`, or the offer takes none.
    """
    least = terms.min_bid
    if not least:
        return None
    bids = {min(most, -(-least * ratio * _STEP // 1) / _STEP) for ratio in _RATIOS}
    candidates = [terms.model_copy(update={"price": bid}) for bid in sorted(bids) if bid >= least]
    found = [(each, estimate(work, each, experience)) for each in candidates]
    return min(found, key=lambda pair: pair[1].total, default=None)
