"""One market of the simulator, asked as its search endpoint is, and the speeds that nobody there is told."""

from __future__ import annotations

import math
from copy import copy
from random import Random
from typing import TYPE_CHECKING, Any, Final

from components.cost.experience import Experience
from components.cost.speeds import pace
from components.cost.terms import Terms
from components.vast.offers import query
from components.vast.wire import Offer
from simulator.market import STEP, Market
from simulator.offers import describe
from simulator.search import search_offers

if TYPE_CHECKING:
    from components.cost.work import Work
    from components.spec.node import Node
    from simulator.offers import Offer as Slice

SPREAD: Final = 0.08
"""Standard deviation of the logarithm of a machine's speed among those with the same GPU."""


class World:
    """The market of one seed; times are its seconds."""

    def __init__(self, seed: int) -> None:
        """Draw the market of `seed` and the speeds of its machines."""
        self.market = Market(seed, 0.0, calm=False)
        random = Random(f"speeds/{seed}")
        self._factors = [math.exp(random.gauss(-(SPREAD**2) / 2, SPREAD)) for _ in self.market.fleet]
        self._bids: dict[tuple[int, float], float] = {}
        self._up: dict[tuple[int, float], bool] = {}
        self._taken: dict[tuple[int, float], bool] = {}

    def search(self, node: Node, now: float) -> list[Offer]:
        """Return the offers that Vast.ai would answer the search for `node` with."""
        asked = query(node)
        names, counts = asked["gpu_name"]["in"], asked["num_gpus"]["eq"]
        shelf = copy(self.market)  # with nothing on it that would be sorted out anyway
        shelf.offers = tuple(
            each for each in shelf.offers if each.machine.gpu.name in names and len(each.gpus) == counts
        )
        return [Offer.model_validate(row) for row in search_offers(shelf, now, asked)]

    def every(self, node: Node, now: float) -> list[tuple[Slice, Offer]]:
        """Return each slice with as many GPUs as `node` asks for, as if it were free."""
        market = self.market
        rows: list[tuple[Slice, dict[str, Any]]] = [
            (each, describe(each, market.quote(each, now), now, storage=node.disk, kind="on-demand"))
            for each in market.offers
            if len(each.gpus) == node.gpu.count
        ]
        return [(each, Offer.model_validate({**row, "rentable": True})) for each, row in rows]

    def slice(self, offer: Offer) -> Slice:
        """Return the slice behind `offer`."""
        return self.market.offers[offer.id % 100_000]

    def seconds(self, of: Slice, work: Work) -> float:
        """Return what one image of `work` really takes there: the table's speed, times the machine's own."""
        gpu = of.machine.gpu
        terms = Terms(gpu=gpu.name, gpus=len(of.gpus), dlperf=gpu.dlperf * len(of.gpus), price=1)
        return pace(terms, work, Experience()).seconds * self._factors[of.machine.index]

    def on_demand(self, of: Slice, now: float) -> float:
        """Return $/h of the GPUs on demand."""
        return self.market.quote(of, now).dph_base

    def min_bid(self, of: Slice, now: float) -> float:
        """Return the $/h that a bid has to reach."""
        key = of.index, now // STEP
        if key not in self._bids:
            self._bids[key] = self.market.min_bid(of, now)
        return self._bids[key]

    def online(self, of: Slice, now: float) -> bool:
        """Return whether the host is connected."""
        key = of.machine.index, now // STEP
        if key not in self._up:
            self._up[key] = self.market.is_online(of.machine, now)
        return self._up[key]

    def taken(self, of: Slice, now: float) -> bool:
        """Return whether somebody holds the GPUs on demand."""
        key = of.index, now // STEP
        if key not in self._taken:
            self._taken[key] = self.market.taken_by_others(of, now)
        return self._taken[key]
