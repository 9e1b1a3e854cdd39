"""What a job costs on given terms: hours and dollars, with what each is for. Pure.

Work that is saved in parts and lost at a steady rate takes, for each part of length t, the mean time
`(e^(ht) - 1) (1/h + r)` with h losses an hour and r hours to start anew (Daly, "A higher order estimate of
the optimum checkpoint interval", 2006): each hour is worked `(e^(ht) - 1) / ht` times. What a start costs in
traffic is paid at each of them. Where the host withdraws the machine before the end, others like it follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, expm1, hypot, inf, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

from components.cost.experience import Experience
from components.cost.speeds import Pace, pace, together
from components.cost.survival import hazard, unstarted

if TYPE_CHECKING:
    from collections.abc import Iterable

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


class Part(NamedTuple):
    """One line of the sum. Its words are put together when they are read: most sums are only compared.

    Attributes:
        name: what it is for.
        hours: that it takes; 0 for what takes none by itself.
        dollars: that it costs.
        words: the arithmetic, for a person, with a place for each of the facts.
        facts: that it rests on.
    """

    name: str
    hours: float
    dollars: float
    words: str
    facts: tuple[object, ...]

    @property
    def how(self) -> str:
        """The arithmetic, for a person."""
        return self.words.format(*self.facts)


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

    @property
    def traffic(self) -> float:
        """$ for bytes in and out."""
        return sum(part.dollars for part in self.parts if part.name.startswith("traffic"))

    @property
    def begun(self) -> float:
        """$ without which no work is done: for the start, and for traffic."""
        return self.traffic + sum(part.dollars for part in self.parts if part.name == "start")


class _Sums(NamedTuple):
    """What of a job on given terms depends on their price."""

    rate: float
    losses: float
    redone: float
    vain: float
    hours: float
    dollars: tuple[float, ...]
    """Of each part, in their order."""


class _Job:
    """What of a job on given terms does not depend on their price, so that many bids are compared fast."""

    def __init__(self, work: Work, terms: Terms, experience: Experience) -> None:
        self._work, self._terms, self._experience = work, terms, experience
        self.speed = pace(terms, work, experience) if work.images else None
        self.worked = _worked(work, self.speed)
        self.image = _hours(work.image, min(terms.down, _REGISTRY_MBPS)) + work.image / _UNPACK_GB_AN_HOUR
        self.setup = (
            work.setup / 3600
            + _hours(work.fetched, terms.down)
            + _hours(work.sent, min(terms.down, _UP_MBPS))
        )
        self.again = self.setup + _hours(work.state, min(terms.down, _UP_MBPS))
        back = _hours(work.returned, min(terms.up, _DOWN_MBPS))
        self.home = max(back / work.saves, back - self.worked)
        self.part = self.worked / work.saves if work.images else 0.0  # to be up is nothing that could be lost
        self.into = work.image + work.fetched + work.sent
        self.disk = terms.disk(work.disk)
        self._unstarted = unstarted(terms)

    def sums(self, price: float) -> _Sums:
        """Return what it takes at that $/h."""
        terms, work = self._terms, self._work
        rate = hazard(terms, self._experience, price)
        losses, redone = _losses(self.worked + self.home, self.part, rate)
        if terms.hours_left is not None:
            window = max(_LEAST_WINDOW, terms.hours_left - self.image - self.again)
            cuts = ceil((self.worked + self.home + redone) / window) - 1
            losses, redone = losses + max(0, cuts), redone + max(0, cuts) * self.part / 2
        vain = self._unstarted * (1 + losses)
        anew = losses * (self.image + self.again)
        hours = self.image + self.setup + self.worked + self.home + redone + anew + vain * _IN_VAIN
        dollars = (
            self.setup * price,
            self.worked * price,
            self.home * price,
            (redone + losses * self.again) * price,
            vain * _IN_VAIN / 2 * price,
            self.disk * hours,
            (self.into * (1 + losses + vain) + work.state * losses) * terms.down_cost,
            work.returned * terms.up_cost,
        )
        return _Sums(rate, losses, redone, vain, hours, dollars)


def cheapest(
    work: Work, terms: Terms, prices: Iterable[float], experience: Experience, hours: float = inf
) -> float:
    """Return at which of the `prices` in $/h `work` costs least in all on `terms`; the first of equals.

    Those count first at which it takes no more than so many `hours` in the mean.
    """
    job = _Job(work, terms, experience)

    def rank(price: float) -> tuple[bool, float]:
        found = job.sums(price)
        return found.hours > hours, sum(found.dollars)

    return min(prices, key=rank)


def estimate(work: Work, terms: Terms, experience: Experience | None = None) -> Estimate:
    """Return what `work` takes on `terms`."""
    price = terms.price
    job = _Job(work, terms, experience or Experience())
    rate, losses, redone, vain, hours, dollars = job.sums(price)
    speed, worked, home, image, setup, again = (
        job.speed,
        job.worked,
        job.home,
        job.image,
        job.setup,
        job.again,
    )
    parts = (
        Part(
            "start",
            image + setup,
            dollars[0],
            "{:.2f} h of image without GPU, {:.2f} h with",
            (image, setup),
        ),
        Part(
            "work",
            worked,
            dollars[1],
            "{:.2f} h at {:.3f} $/h" + (", speed by {}" if speed else ""),
            (worked, price, speed and speed.source),
        ),
        Part(
            "home",
            home,
            dollars[2],
            "{:.2f} h until the last of {:.1f} GB is here",
            (home, work.returned),
        ),
        Part(
            "losses",
            redone + losses * (image + again),
            dollars[3],
            "{:.2f}, by {:.3f} an hour; {:.2f} h done again, {:.2f} h a new start",
            (losses, rate, redone, again),
        ),
        Part("in vain", vain * _IN_VAIN, dollars[4], "{:.2f} machines never start", (vain,)),
        Part(
            "disk",
            0,
            dollars[5],
            "{:g} GB at {:g} $/GB/month for {:.2f} h",
            (work.disk, terms.storage, hours),
        ),
        Part(
            "traffic in",
            0,
            dollars[6],
            "{:.1f} GB at {:g} $/GB, {:.2f} times",
            (job.into, terms.down_cost, 1 + losses + vain),
        ),
        Part(
            "traffic out",
            0,
            dollars[7],
            "{:.1f} GB at {:g} $/GB",
            (work.returned, terms.up_cost),
        ),
    )
    total = sum(dollars)
    slower = (worked + redone) * expm1(P90 * speed.spread - speed.spread**2 / 2) if speed else 0.0
    unlucky = P90 * sqrt(losses) * (image + again + job.part / 2)
    more = hypot(slower, unlucky)
    return Estimate(
        parts=parts,
        hours=hours,
        total=total,
        p90=total + more * (price + job.disk),
        p90_hours=hours + more,
        rate=price + job.disk,
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
