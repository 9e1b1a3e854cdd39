"""What a job costs on given terms: hours and dollars, with what each is for. Pure.

Work that is saved in parts and lost at a steady rate takes, for each part of length t, the mean time
`(e^(ht) - 1) (1/h + r)` with h losses an hour and r hours to start anew (Daly, "A higher order estimate of
the optimum checkpoint interval", 2006). What a start costs in traffic is paid at each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1, sqrt
from typing import TYPE_CHECKING, Final

from components.cost.experience import Experience
from components.cost.speeds import Pace, pace
from components.cost.survival import hazard

if TYPE_CHECKING:
    from components.cost.terms import Terms
    from components.cost.work import Work

P90: Final = 1.2816
"""Standard deviations above the mean below which 90 % of a normal distribution lie."""

_UNPACK_GB_AN_HOUR: Final = 1260.0
"""Of a Docker image onto a fast disk; an assumption."""
_REGISTRY_MBPS: Final = 1000.0
_HOME_MBPS: Final = 50.0
"""What this computer can send: an assumption, since it is known only once something was sent."""
_TOGETHER: Final = 0.92
"""Share of its own speed that each of several GPUs keeps when they train together."""
_MOST_LOSSES: Final = 50.0


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
    speed = pace(terms, work, experience) if work.images else None
    worked = _worked(work, speed)
    down = max(terms.down, 0.1)
    image = work.image * 8000 / min(down, _REGISTRY_MBPS) / 3600 + work.image / _UNPACK_GB_AN_HOUR
    fetched = work.fetched * 8000 / down / 3600
    sent = work.sent * 8000 / min(down, _HOME_MBPS) / 3600
    setup = work.setup / 3600 + fetched + sent
    rate = hazard(terms, experience)
    pause = image + setup
    busy, losses = _with_losses(work, worked, rate, pause)
    cut = terms.hours_left is not None and terms.hours_left < busy + pause
    starts = 1 + losses + cut
    hours = busy + pause + (pause if cut else 0)
    disk = terms.disk(work.disk)
    redone = max(0.0, busy - losses * pause - worked)
    into = work.image + work.fetched + work.sent
    parts = (
        Part("start", pause, setup * terms.price, f"{setup:.2f} h of GPU after {image:.2f} h of image"),
        Part(
            "work",
            worked,
            worked * terms.price,
            f"{worked:.2f} h at {terms.price:.3f} $/h" + (f", {speed.source}" if speed else ""),
        ),
        Part(
            "losses",
            hours - pause - worked,
            (redone + (starts - 1) * setup) * terms.price,
            f"{starts - 1:.2f} starts anew, {redone:.2f} h of work done again, {rate:.3f} losses an hour",
        ),
        Part("disk", 0, disk * hours, f"{work.disk:g} GB at {terms.storage:g} $/GB/month for {hours:.2f} h"),
        Part("traffic in", 0, into * terms.down_cost * starts, f"{into:.1f} GB, {starts:.2f} times"),
        Part("traffic out", 0, work.returned * terms.up_cost, f"{work.returned:.1f} GB"),
    )
    total = sum(part.dollars for part in parts)
    spread = speed.spread if speed else 0.0
    slower, luckless = (
        P90 * spread * (worked + redone),
        P90 * sqrt(starts - 1) * (pause + _lost(work, worked)),
    )
    more = sqrt(slower**2 + luckless**2)
    return Estimate(
        parts=parts,
        hours=hours,
        total=total,
        p90=total + more * (terms.price + disk),
        p90_hours=hours + more,
        rate=terms.price + disk,
        losses=starts - 1,
        pace=speed,
    )


def _worked(work: Work, speed: Pace | None) -> float:
    """Return hours of work without any loss."""
    if speed is None:
        return work.hours
    gpus = 1 if work.gpus == 1 else work.gpus * _TOGETHER
    return work.images * speed.seconds / gpus / 3600


def _with_losses(work: Work, worked: float, rate: float, pause: float) -> tuple[float, float]:
    """Return the hours that `worked` hours take with losses, and how many losses those are."""
    if not work.images:  # to be up is nothing that could be lost
        losses = rate * worked
        return worked + losses * pause, losses
    if not worked or not rate:
        return worked, 0.0
    grown = expm1(min(_MOST_LOSSES, rate * worked / work.saves))
    return work.saves * grown * (1 / rate + pause), work.saves * grown


def _lost(work: Work, worked: float) -> float:
    """Return the hours of work that one loss costs in the mean."""
    return worked / work.saves / 2 if work.images else 0.0
