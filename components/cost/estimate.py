"""What a job costs on given terms: hours and dollars, with what each is for. Pure.

Work that is saved in parts and lost at a steady rate takes, for each part of length t, the mean time
`(e^(ht) - 1) (1/h + r)` with h losses an hour and r hours to start anew (Daly, "A higher order estimate of
the optimum checkpoint interval", 2006): each hour is worked `(e^(ht) - 1) / ht` times. What a start costs in
traffic is paid at each of them. Where the host withdraws the machine before the end, others like it follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, expm1, hypot, sqrt
from typing import TYPE_CHECKING, Final

from components.cost.experience import Experience
from components.cost.speeds import Pace, pace, together
from components.cost.survival import hazard, unstarted

if TYPE_CHECKING:
    from components.cost.terms import Terms
    from components.cost.work import Work

P90: Final = 1.2816
"""Standard deviations above the mean below which 90 % of a normal distribution lie."""

_UNPACK_GB_AN_HOUR: Final = 1260.0
"""Of a Docker image onto a fast disk; an assumption, as the next three."""
_REGISTRY_MBPS: Final = 1000.0
_UP_MBPS, _DOWN_MBPS = 50.0, 200.0
"""What this computer can send and receive: known only once something was."""
_IN_VAIN: Final = 0.2
"""Hours until a machine that does not start is given up, half of them with the GPU billed."""
_LEAST_MBPS: Final = 0.1
_MOST: Final = 20.0
"""Losses within one part beyond which nothing is ever done: the sum still tells more from less there."""
_LEAST_WINDOW: Final = 0.05
"""Hours that are always left for work where a rental ends early."""


@dataclass(frozen=True)
class Part:
    """One line of the sum.

    Attributes:
        name: what it is for.
        hours: that it takes; 0 for what takes none by itself.
        dollars: that it costs.
        how: the arithmetic, for a person.
    """

    name: str
    hours: float
    dollars: float
    how: str


@dataclass(frozen=True)
class Estimate:
    """What a job takes in the mean.

    Attributes:
        parts: the sum, line by line.
        hours: from renting to the end.
        total: $.
        p90: $ that nine of ten runs stay below.
        p90_hours: hours that nine of ten runs stay below.
        rate: $/h while it runs, GPUs and disk.
        losses: how often a machine is lost on the way.
        pace: what the speed rests on; None where nothing is trained.
    """

    parts: tuple[Part, ...]
    hours: float
    total: float
    p90: float
    p90_hours: float
    rate: float
    losses: float
    pace: Pace | None


def estimate(work: Work, terms: Terms, experience: Experience | None = None) -> Estimate:
    """Return what `work` takes on `terms`."""
    experience = experience or Experience()
    price, disk = terms.price, terms.disk(work.disk)
    speed = pace(terms, work, experience) if work.images else None
    worked = _worked(work, speed)
    image = _hours(work.image, min(terms.down, _REGISTRY_MBPS)) + work.image / _UNPACK_GB_AN_HOUR
    setup = (
        work.setup / 3600 + _hours(work.fetched, terms.down) + _hours(work.sent, min(terms.down, _UP_MBPS))
    )
    again = setup + _hours(work.state, min(terms.down, _UP_MBPS))
    back = _hours(work.returned, min(terms.up, _DOWN_MBPS))
    home = max(back / work.saves, back - worked)

    part = worked / work.saves if work.images else 0.0  # to be up is nothing that could be lost
    rate = hazard(terms, experience)
    losses, redone = _losses(worked + home, part, rate)
    if terms.hours_left is not None:
        cuts = ceil((worked + home + redone) / max(_LEAST_WINDOW, terms.hours_left - image - again)) - 1
        losses, redone = losses + max(0, cuts), redone + max(0, cuts) * part / 2
    vain = unstarted(terms) * (1 + losses)

    into = work.image + work.fetched + work.sent
    hours = image + setup + worked + home + redone + losses * (image + again) + vain * _IN_VAIN
    parts = (
        Part(
            "start", image + setup, setup * price, f"{image:.2f} h of image without GPU, {setup:.2f} h with"
        ),
        Part(
            "work",
            worked,
            worked * price,
            f"{worked:.2f} h at {price:.3f} $/h" + (f", speed by {speed.source}" if speed else ""),
        ),
        Part("home", home, home * price, f"{home:.2f} h until the last of {work.returned:.1f} GB is here"),
        Part(
            "losses",
            redone + losses * (image + again),
            (redone + losses * again) * price,
            f"{losses:.2f}, by {rate:.3f} an hour; {redone:.2f} h done again, {again:.2f} h a new start",
        ),
        Part("in vain", vain * _IN_VAIN, vain * _IN_VAIN / 2 * price, f"{vain:.2f} machines never start"),
        Part("disk", 0, disk * hours, f"{work.disk:g} GB at {terms.storage:g} $/GB/month for {hours:.2f} h"),
        Part(
            "traffic in",
            0,
            (into * (1 + losses + vain) + work.state * losses) * terms.down_cost,
            f"{into:.1f} GB at {terms.down_cost:g} $/GB, {1 + losses + vain:.2f} times",
        ),
        Part(
            "traffic out",
            0,
            work.returned * terms.up_cost,
            f"{work.returned:.1f} GB at {terms.up_cost:g} $/GB",
        ),
    )
    total = sum(each.dollars for each in parts)
    slower = (worked + redone) * expm1(P90 * speed.spread - speed.spread**2 / 2) if speed else 0.0
    unlucky = P90 * sqrt(losses) * (image + again + part / 2)
    more = hypot(slower, unlucky)
    return Estimate(
        parts=parts,
        hours=hours,
        total=total,
        p90=total + more * (price + disk),
        p90_hours=hours + more,
        rate=price + disk,
        losses=losses,
        pace=speed,
    )


def _worked(work: Work, speed: Pace | None) -> float:
    """Return hours of work without any loss."""
    if speed is None:
        return work.hours
    return work.images * speed.seconds / together(work) / 3600


def _hours(gb: float, mbps: float) -> float:
    """Return the hours that so many GB take."""
    return gb * 8000 / max(mbps, _LEAST_MBPS) / 3600


def _losses(hours: float, part: float, rate: float) -> tuple[float, float]:
    """Return how often `hours` in parts of length `part` are interrupted, and how many are done again."""
    expected = min(_MOST, rate * part)
    times = expm1(expected) / expected if expected else 1.0
    return hours * rate * times, hours * (times - 1)
