"""How often a machine is lost: its host fails, or its bid is outbid. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from components.cost.experience import Experience
    from components.cost.terms import Terms

_OUTAGE_HOURS: Final = 2.0
"""How long an outage lasts, in the mean: an assumption that turns a share of time into a rate."""
_FLOOR: Final = 0.9
"""Least reliability that is believed: below it, nothing more is known."""


def hazard(terms: Terms, experience: Experience) -> float:
    """Return losses an hour on `terms`, in the mean."""
    down = 1 - max(_FLOOR, min(0.9999, terms.reliability))
    lost = down / ((1 - down) * _OUTAGE_HOURS)
    return lost + (outbid(terms.price / terms.min_bid, experience) if terms.min_bid else 0)


def outbid(ratio: float, experience: Experience) -> float:
    """Return losses an hour of a bid that is `ratio` times the least that wins now."""
    del experience
    return 0.25 / max(1.0, ratio) ** 2
