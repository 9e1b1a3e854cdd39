"""One contract from renting to its end: what it bills, what is saved, and how it is lost.

The rules are the simulator's: the GPU bills while the container runs, the disk from renting to destroying,
neither while the host is offline; traffic by the GB; a bid is held until it is below the least that wins or
somebody takes the GPUs on demand; who rents on demand is only cut off by his host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from simulator.images import REACH, UNPACK_GB_PER_SECOND
from simulator.lifecycle import CREATE, PROVISION, SLOW_FACTOR, START
from simulator.market import STEP
from simulator.offers import disk_per_hour

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.replay.world import World
    from components.cost.work import Work
    from simulator.offers import Offer as Slice

HOME_UP, HOME_DOWN = 50.0, 200.0
"""Mbps that the computer of the job's owner sends and receives."""
BOOT_LIMIT: Final = 1200.0
"""Seconds after which a machine that does not run is given up: `node.limits.boot`."""
SSH_LIMIT: Final = 300.0
"""Likewise for one that runs and does not answer: `node.limits.ssh`."""
LOOK: Final = 15.0
"""Seconds that it takes to see that the hardware is not what was offered."""
PATIENCE: Final = 600.0
"""Seconds after which a host that is offline is given up, as `fragua watch` does."""

End = Literal["done", "outbid", "displaced", "offline", "fault"]


@dataclass(frozen=True)
class Moment:
    """What was paid when a part of the work was safe."""

    at: float
    dollars: float


class Stay:
    """One contract.

    Attributes:
        now: seconds of the market.
        dollars: billed so far.
        bid: $/h; None on demand.
        safe: when each part of the work was saved.
        gpu_hours: that were billed.
        outbid: how often the bid lost, or somebody took the GPUs on demand.
    """

    def __init__(
        self,
        world: World,
        of: Slice,
        work: Work,
        at: float,
        bid: float | None,
        *,
        patience: float = PATIENCE,
        foresight: bool = False,
    ) -> None:
        """Rent.

        Args:
            world: the market.
            of: what is rented.
            work: what is left to do.
            at: when.
            bid: $/h; None on demand.
            patience: seconds to wait for a host that is offline.
            foresight: the bid is always the least that wins, and GPUs that were taken are waited for.
        """
        self._world, self._slice, self._work, self.now = world, of, work, at
        self.bid, self._patience, self._foresight = bid, patience, foresight
        self.dollars, self.safe, self.gpu_hours, self.outbid = 0.0, list[Moment](), 0.0, 0
        self._price = world.on_demand(of, at) if bid is None else bid
        self._disk = disk_per_hour(of.machine.storage_cost, work.disk)
        self._phases, self._fate = self._plan()
        self._left = self._phases[0][1]

    @property
    def slice(self) -> Slice:
        """What was rented."""
        return self._slice

    @property
    def left(self) -> int:
        """Parts of the work that are not saved."""
        return self._work.saves - len(self.safe)

    def run(self, look: Callable[[Stay], float | None] | None = None, until: float = math.inf) -> End:
        """Go on to the end and return which it was.

        Args:
            look: asked at each step of the market; returns the bid to change to, if any.
            until: $ above which nobody wants to know the end.
        """
        while self.dollars < until:
            step = self._world.market.next_step(self.now)
            self._pass(min(self.now + self._left, step))
            if self._left <= 0 and self._finish():
                return self._fate
            if self.now == step and (end := self._meet(look)):
                if self._phases[0][0] == "bring":
                    self.safe.pop()  # it was not at home yet
                return end
        return "offline"

    def _plan(self) -> tuple[list[tuple[str, float]], End]:
        """Return the phases with their seconds, and how it ends if the market lets it."""
        machine, work = self._slice.machine, self._work
        fault = machine.hidden_fault
        pull = work.image * 8000 / min(machine.inet_down, REACH) + work.image / UNPACK_GB_PER_SECOND
        load = PROVISION + CREATE + START + pull * (SLOW_FACTOR if fault == "slow_boot" else 1)
        if fault == "never_running":
            return [("load", PROVISION + CREATE)], "fault"
        if fault == "stuck_loading" or load > BOOT_LIMIT:
            return [("load", BOOT_LIMIT)], "fault"
        if fault in ("dead_ssh", "wrong_gpu"):
            return [("load", load), ("check", SSH_LIMIT if fault == "dead_ssh" else LOOK)], "fault"
        setup = work.setup + 8000 * (
            work.fetched / machine.inet_down + work.sent / min(machine.inet_down, HOME_UP)
        )
        part = work.images * self._world.seconds(self._slice, work) / work.saves
        back = work.returned * 8000 / min(machine.inet_up, HOME_DOWN)
        bring = max(back / work.saves, back - part * work.saves)
        return [("load", load), ("setup", setup), *[("part", part)] * work.saves, ("bring", bring)], "done"

    def _pass(self, to: float) -> None:
        """Bill until `to`."""
        hours = (to - self.now) / 3600
        self.dollars += self._disk * hours
        if self._phases[0][0] != "load":
            price = self._world.min_bid(self._slice, self.now) if self._follows else self._price
            self.dollars += price * hours
            self.gpu_hours += hours
        self._left -= to - self.now
        if self._left < 1e-6:
            self._left = 0.0
        self.now = to

    @property
    def _follows(self) -> bool:
        return self._foresight and self.bid is not None

    def _finish(self) -> bool:
        """Go on to the next phase; return whether there is none."""
        name, _ = self._phases.pop(0)
        machine, work = self._slice.machine, self._work
        if name == "setup":
            self.dollars += (work.fetched + work.sent) * machine.inet_down_cost
        elif name == "part":
            self.dollars += work.returned / work.saves * machine.inet_up_cost
            self.safe.append(Moment(self.now, self.dollars))
        if not self._phases:
            return True
        self._left = self._phases[0][1]
        return False

    def _meet(self, look: Callable[[Stay], float | None] | None) -> End | None:
        """Meet the market at one of its steps; return how the contract ended, if it did."""
        if not self._world.online(self._slice, self.now) and (end := self._outage()):
            return end
        if self.bid is None:
            return None
        if self._foresight:
            self._wait()
            return None
        if self._world.taken(self._slice, self.now):
            self.outbid += 1
            return "displaced"
        least, change = self._world.min_bid(self._slice, self.now), look(self) if look else None
        lost = self.bid < least
        self.outbid += lost
        if change is not None:
            self.bid = self._price = change
        if self.bid < least:
            return "outbid"
        if lost:
            self._begin_again()
        return None

    def _outage(self) -> End | None:
        """Wait for the host, which bills nothing; return how it ended if that takes too long."""
        gone = self.now
        while not self._world.online(self._slice, self.now):
            self.now += STEP
            if self.now - gone > self._patience:
                self.now = gone + self._patience
                return "offline"
        self._begin_again()
        return None

    def _wait(self) -> None:
        """Wait for the GPUs as long as others hold them, which bills the disk."""
        begun = self.now
        while (up := self._world.online(self._slice, self.now)) is False or self._world.taken(
            self._slice, self.now
        ):
            self.dollars += self._disk * STEP / 3600 * up
            self.now += STEP
        if self.now > begun:
            self._begin_again()

    def _begin_again(self) -> None:
        """Boot, and do again what was not finished."""
        if self._phases[0][0] != "load":
            self._phases.insert(0, ("load", START))
        self._left = self._phases[0][1]
