"""The market: what each offer costs, who else rents it and which hosts are up, at any moment.

Everything that happens by itself is a pure function of (seed, virtual time): asking more often, or
not at all, changes nothing. On top lie the few things that people do: renting, and the control
plane's orders. It knows offers, not contracts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from simulator.fleet import Machine, build_fleet
from simulator.noise import uniform, walk
from simulator.offers import FIRST_OFFER_ID, RENTALS_STRIDE, Offer, Quote, slice_machines

STEP = 300.0
"""Virtual seconds between two moments at which anything in the market can change."""
BUSY_SPELL = 2400.0
OUTAGE_SPELL = 3600.0
QUIET_SHARE = 0.6


@dataclass
class Orders:
    """What people did to the market; the part of it that has to be stored.

    Attributes:
        price_factor: multiplies every price.
        rentals: how often each offer was rented by the account, by offer index.
        taken: offers that the control plane gave to somebody else, and until when.
        delisted: offers that the control plane took off the market.
    """

    price_factor: float = 1.0
    rentals: dict[int, int] = field(default_factory=dict)
    taken: dict[int, float] = field(default_factory=dict)
    delisted: set[int] = field(default_factory=set)


class Market:
    """The offers of one seed.

    Attributes:
        orders: what people did; see `Orders`.
        held: GPU slots of the account's running contracts by machine index.
        occupied_machines: machine indexes where the account has any contract.
    """

    def __init__(self, seed: int, epoch: float, *, calm: bool) -> None:
        """Build the market of `seed`, its walk starting at `epoch`; a calm one stands still."""
        self.seed, self.epoch, self.calm = seed, epoch, calm
        self.fleet = build_fleet(seed)
        self.offers = slice_machines(self.fleet)
        self.orders = Orders()
        self.held: dict[int, set[int]] = {}
        self.occupied_machines: set[int] = set()
        self._by_machine_id = {machine.machine_id: machine for machine in self.fleet}

    def machine(self, machine_id: int) -> Machine | None:
        """Return the machine with this id."""
        return self._by_machine_id.get(machine_id)

    def offer_id(self, offer: Offer) -> int:
        """Return the id under which the offer is listed now."""
        return FIRST_OFFER_ID + offer.index + RENTALS_STRIDE * self.orders.rentals.get(offer.index, 0)

    def find(self, offer_id: int) -> Offer | None:
        """Return the offer listed under `offer_id`, or None if that ask is gone."""
        rentals, index = divmod(offer_id - FIRST_OFFER_ID, RENTALS_STRIDE)
        if not 0 <= index < len(self.offers) or index in self.orders.delisted:
            return None
        offer = self.offers[index]
        return offer if rentals == self.orders.rentals.get(index, 0) else None

    def quote(self, offer: Offer, now: float) -> Quote:
        """Return price and state of `offer` at `now`."""
        return Quote(
            offer_id=self.offer_id(offer),
            dph_base=self._price(offer, now),
            min_bid=self.min_bid(offer, now),
            rentable=self.is_free(offer, now),
            rented=offer.machine.index in self.occupied_machines,
        )

    def is_free(self, offer: Offer, now: float) -> bool:
        """Return whether the offer can be rented on demand at `now`."""
        held = self.held.get(offer.machine.index, set())
        return (
            offer.index not in self.orders.delisted
            and self.is_online(offer.machine, now)
            and held.isdisjoint(offer.gpus)
            and not self.taken_by_others(offer, now)
        )

    def taken_by_others(self, offer: Offer, now: float) -> bool:
        """Return whether somebody else holds any of the offer's GPUs on demand at `now`."""
        for index, until in self.orders.taken.items():
            other = self.offers[index]
            if until > now and other.machine is offer.machine and {*other.gpus} & {*offer.gpus}:
                return True
        return offer.gpus[0] < self._busy_gpus(offer.machine, now)

    def min_bid(self, offer: Offer, now: float) -> float:
        """Return the $/h that a bid for the whole slice has to reach at `now`."""
        machine, age = offer.machine, self._age(now)
        pressure = 1.0
        if not self.calm:
            pressure += 0.18 * walk(age, 5400, self.seed, "bid", machine.index)
            hour = math.floor(age / 3600)
            if uniform(self.seed, "spike", machine.index, hour) < 0.04:
                pressure *= 1.5
        price = machine.gpu_price * len(offer.gpus) * machine.bid_share * pressure
        return round(price * self.orders.price_factor, 4)

    def is_online(self, machine: Machine, now: float) -> bool:
        """Return whether the machine's host is connected at `now`."""
        if self.calm:
            return True
        age = self._age(now)
        spell, within = divmod(age, OUTAGE_SPELL)
        if uniform(self.seed, "outage", machine.index, spell) < machine.reliability:
            return True
        start = uniform(self.seed, "outage start", machine.index, spell) * OUTAGE_SPELL * 0.5
        length = (0.05 + 0.4 * uniform(self.seed, "outage length", machine.index, spell)) * 3600
        return not start <= within < start + length

    def _price(self, offer: Offer, now: float) -> float:
        machine, age = offer.machine, self._age(now)
        drift = 0.0
        if not self.calm:
            drift = 0.10 * walk(age, 86400, self.seed, "day", machine.index)
            drift += 0.05 * walk(age, 10800, self.seed, "hours", machine.index)
        price = machine.gpu_price * len(offer.gpus) * math.exp(drift)
        return round(price * self.orders.price_factor, 4)

    def _busy_gpus(self, machine: Machine, now: float) -> int:
        """Return how many of the machine's GPUs others rent on demand, counted from slot 0."""
        if self.calm:
            return 0
        phase = uniform(self.seed, "phase", machine.index) * BUSY_SPELL
        spell = math.floor((self._age(now) + phase) / BUSY_SPELL)
        load = uniform(self.seed, "load", machine.index, spell)
        return max(0, math.ceil((load - QUIET_SHARE) / (1 - QUIET_SHARE) * machine.num_gpus))

    def _age(self, now: float) -> float:
        """Return the market's age at `now`, in whole steps."""
        return math.floor((now - self.epoch) / STEP) * STEP

    def next_step(self, now: float) -> float:
        """Return the next moment after `now` at which the market can change."""
        return self.epoch + (math.floor((now - self.epoch) / STEP) + 1) * STEP
