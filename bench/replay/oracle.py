"""What a job would have cost whoever had seen the future: prices, outbids, outages, faults and speeds.

Such a one rents at once, and goes from machine to machine without a pause; bids at every moment just the
least that wins; waits for GPUs that others took where that is cheaper; and changes machines after any save.
The search is A* over what is safe and the time: exact for plans of a day, but that of plans that meet within
the market's five minutes only the cheaper goes on.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.replay.stay import Stay
from bench.replay.ways import AGAIN, Outcome, rest
from components.cost.purchase import Purchase
from components.vast.offers import rank
from simulator.market import STEP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.replay.cases import Case
    from bench.replay.world import World
    from simulator.offers import Offer as Slice

_DAY: Final = 288
"""Steps of the market."""
_FALL: Final = 0.74
"""Least that a price on demand can become, as a share of one that is known: it drifts by 15 % either way."""


@dataclass(frozen=True)
class _Lot:
    """One way to rent one slice, with a bound on what it costs: $ for each part of the work, and to begin."""

    slice: Slice
    interruptible: bool
    part: float
    begin: float


def oracle(world: World, case: Case, start: float, others: Iterable[Outcome]) -> Outcome:
    """Return the cheapest plan, in time if one is; `others` are outcomes of plans without foresight."""
    search = _Search(world, case, start)
    done = [each for each in others if each.done]
    hours = case.hours or math.inf
    for latest in (hours, math.inf):
        best = min(
            (each for each in done if each.hours <= latest), key=lambda each: each.dollars, default=None
        )
        found = search.run(start + latest * 3600, best.dollars if best else math.inf) or best
        if found:
            return found
    return Outcome(math.inf, math.inf)


class _Search:
    def __init__(self, world: World, case: Case, start: float) -> None:
        self._world, self._work, self._start = world, case.work, start
        free = rank(
            [offer for _, offer in world.every(case.node, start)], case.node, Purchase(work=case.work)
        )
        fitting = {each.offer.id for each in free.choices}
        last: dict[int, Slice] = {}
        for each, offer in world.every(case.node, start):
            if offer.id in fitting and each.machine.hidden_fault in (None, "slow_boot"):
                last[each.machine.index] = each  # the last slots of a machine are the last to be taken
        self._lots = [self._lot(each, bid) for each in last.values() for bid in (True, False)]

    def _lot(self, of: Slice, interruptible: bool) -> _Lot:
        work, world = self._work, self._world
        if interruptible:
            price = min(world.min_bid(of, self._start + each * STEP) for each in range(_DAY))
        else:
            price = world.on_demand(of, self._start) * _FALL
        seconds = work.images * world.seconds(of, work) / work.saves
        setup = work.setup + work.fetched * 8000 / of.machine.inet_down
        return _Lot(of, interruptible, seconds / 3600 * price, setup / 3600 * price)

    def run(self, latest: float, known: float) -> Outcome | None:
        """Return the cheapest plan that ends before `latest` and costs less than `known`."""
        saves = self._work.saves
        part = min(each.part for each in self._lots)
        begin = min(each.begin for each in self._lots)
        heap = [(saves * part + begin, 0.0, self._start, saves)]
        seen: dict[tuple[int, int], float] = {}
        best: Outcome | None = None
        while heap and heap[0][0] < known:
            _, spent, at, left = heapq.heappop(heap)
            key = left, int(at // STEP)
            if seen.get(key, math.inf) <= spent:
                continue
            seen[key] = spent
            work = rest(self._work, left)
            for lot in self._lots:
                if spent + lot.begin + lot.part + (left - 1) * part >= known or not self._free(lot, at):
                    continue
                stay = Stay(
                    self._world,
                    lot.slice,
                    work,
                    at,
                    0.0 if lot.interruptible else None,
                    patience=math.inf,
                    foresight=True,
                )
                end = stay.run(until=known - spent)
                for done, moment in enumerate(stay.safe[: left - 1], 1):
                    bound = spent + moment.dollars + begin + (left - done) * part
                    if bound < known and moment.at < latest:
                        heapq.heappush(heap, (bound, spent + moment.dollars, moment.at + AGAIN, left - done))
                if end == "done" and spent + stay.dollars < known and stay.now <= latest:
                    known = spent + stay.dollars
                    best = Outcome(known, (stay.now - self._start) / 3600, done=True)
        return best

    def _free(self, lot: _Lot, at: float) -> bool:
        return self._world.online(lot.slice, at) and not self._world.taken(lot.slice, at)
