"""Which bid costs least in the end: a higher one is dearer by the hour and lost less often. Pure."""

from __future__ import annotations

from math import ceil, floor, inf
from typing import TYPE_CHECKING, Final

from components.cost.estimate import Estimate, cheapest, estimate

if TYPE_CHECKING:
    from components.cost.experience import Experience
    from components.cost.terms import Terms
    from components.cost.work import Work

_RATIOS: Final = tuple(1.04**power for power in range(29))
"""Of the least bid: up to three times as much."""
_CENT_TENTHS: Final = 1000


def best_bid(
    work: Work, terms: Terms, most: float, experience: Experience, hours: float = inf
) -> tuple[Terms, Estimate] | None:
    """Return the terms with the bid that makes `work` cheapest, and what it then takes.

    Bids are whole tenths of a cent. One that is lost less often is also done sooner: where the cheapest is
    late, it is the cheapest of those that are in time.

    Args:
        work: the job.
        terms: of the offer, with its least bid.
        most: $/h that the bid may be.
        experience: of earlier runs.
        hours: until the deadline.

    Returns:
        None where even the least bid is above `most`, or the offer takes none.
    """
    if not terms.min_bid:
        return None
    highest = floor(most * _CENT_TENTHS)
    least = max(1, ceil(terms.min_bid * _CENT_TENTHS))  # Vast.ai takes no bid below a tenth
    if least > highest:
        return None
    tenths = {min(highest, ceil(least * ratio)) for ratio in _RATIOS}
    bid = cheapest(work, terms, [each / _CENT_TENTHS for each in sorted(tenths)], experience, hours)
    best = terms.model_copy(update={"price": bid})
    return best, estimate(work, best, experience)
