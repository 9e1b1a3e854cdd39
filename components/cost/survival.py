"""How often a machine is lost: its host fails, somebody rents it on demand, or a bid is outbid. Pure.

Nobody publishes how long bids live. The numbers for them are assumptions, which the user's own hours on
interruptible machines correct: a gamma prior that weighs as much as two losses.
"""

from __future__ import annotations

from math import exp2, sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from components.cost.experience import Experience
    from components.cost.terms import Terms

_OUTAGE_HOURS: Final = 1.0
"""How long an outage lasts, in the mean: it turns a share of time into a rate."""
_LEAST: Final = 0.5
"""Reliability below which nothing more is known of a host."""

_DISPLACED: Final = 0.2
"""Losses an hour to those who rent on demand, who outrank every bid: one in five hours."""
_OUTBID: Final = 1.5
"""Losses an hour of the least bid that wins to other bids: it is lost at the first rise, and prices move
several times an hour."""
_HALVED: Final = 0.1
"""Share of the least bid by which more halves them: a tenth more outlasts half of the rises."""
_BETWEEN_LOOKS: Final = sqrt(5 / 60)
"""How far prices wander in five minutes, for how far they do in an hour: as the square root of time."""
_USUAL: Final = 0.5
"""Losses an hour that were expected in hours of which only their number is known."""
_PRIOR: Final = 2.0


def hazard(terms: Terms, experience: Experience, price: float | None = None) -> float:
    """Return losses an hour on `terms`, in the mean; at another `price` in $/h than theirs if given."""
    down = 1 - max(_LEAST, min(0.9999, terms.reliability))
    lost = down / ((1 - down) * _OUTAGE_HOURS)
    if terms.min_bid is None:
        return lost
    ratio = (terms.price if price is None else price) / terms.min_bid if terms.min_bid else float("inf")
    return lost + outbid(ratio, experience, watched=terms.watched)


def outbid(ratio: float, experience: Experience, *, watched: bool = False) -> float:
    """Return losses an hour of a bid that is `ratio` times the least that wins now.

    One that is `watched` loses only to what prices rise between two looks.
    """
    halved = _HALVED * _BETWEEN_LOOKS if watched else _HALVED
    rate = _DISPLACED + _OUTBID * exp2((1 - max(1.0, ratio)) / halved)
    return rate * (_PRIOR + experience.outbid) / (_PRIOR + _USUAL * experience.bid_hours)


def unstarted(terms: Terms) -> float:
    """Return how many machines fail before the work begins, in the mean, for one that does not.

    At least one in fifty never starts, whatever its host's reliability: an assumption.
    """
    failing = min(0.5, 0.02 + 1 - max(_LEAST, terms.reliability))
    return failing / (1 - failing)
