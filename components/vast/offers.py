"""Which offer to rent: from the need to a query, from offers to a ranking by what the job costs. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Final

from components.cost.bids import best_bid
from components.cost.estimate import Estimate, estimate
from components.cost.terms import HOURS_PER_MONTH, Terms
from components.spec import gpus
from components.vast.conditions import FAILED, TAKEN, Misfit, misfits

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from components.cost.purchase import Purchase
    from components.spec.node import Node
    from components.vast.wire import Offer

_SHOWN: Final = 6
_GIVEN: Final = {TAKEN, FAILED}
"""Reasons that no change of the job mends."""


@dataclass(frozen=True)
class Choice:
    """One way to rent one offer, and what the job takes then."""

    offer: Offer
    terms: Terms
    estimate: Estimate

    @property
    def bid(self) -> float | None:
        """$/h to bid; None on demand."""
        return self.terms.price if self.terms.interruptible else None


@dataclass(frozen=True)
class Rejected:
    """One way to rent one offer that is not allowed.

    Attributes:
        offer: the offer.
        terms: on demand or by a bid.
        misfits: the conditions that it misses, at least one.
        estimate: what the job would take; None where the offer does not fit the node.
    """

    offer: Offer
    terms: Terms
    misfits: tuple[Misfit, ...]
    estimate: Estimate | None = None

    @property
    def interruptible(self) -> bool:
        """Whether it is a bid."""
        return self.terms.interruptible

    @property
    def reason(self) -> str:
        """The first condition that it misses."""
        return self.misfits[0].reason


@dataclass(frozen=True)
class Ranking:
    """What may be rented, cheapest for the job first, and why the rest may not."""

    choices: tuple[Choice, ...]
    rejected: tuple[Rejected, ...]

    def explain(self) -> str:
        """Say in one line how many offers fit and how many miss each condition, the commonest first."""
        fit = {choice.offer.id for choice in self.choices}
        missing = defaultdict[str, set[int]](set)
        for each in self.rejected:
            for misfit in each.misfits:
                missing[misfit.reason].add(each.offer.id)
        counts = {reason: len(ids - fit) for reason, ids in missing.items() if ids - fit}
        common = sorted(counts.items(), key=lambda found: (-found[1], found[0]))[:_SHOWN]
        reasons = ", ".join(f"{count} {reason}" for reason, count in common)
        return f"{len(fit)} fit" + (f"; not: {reasons}" if reasons else "")

    def nearest(self) -> Rejected | None:
        """Return what misses the fewest conditions, the cheapest of those; None where nothing could serve."""
        mendable = [each for each in self.rejected if not _GIVEN & {found.reason for found in each.misfits}]
        return min(
            mendable, key=lambda each: (len(each.misfits), each.terms.price, each.offer.id), default=None
        )

    def refused(self) -> Rejected | None:
        """Return what is cheapest for the job among what fits the node and was not approved."""
        found = [(each.estimate.total, each.offer.id, each) for each in self.rejected if each.estimate]
        return min(found, key=lambda each: each[:2])[2] if found else None


def query(node: Node) -> dict[str, Any]:
    """Return the search for `node`.

    It names the GPUs and, since Vast.ai would leave them out, the unverified hosts where they may serve;
    `rank` applies the other conditions, so that it can say what each excluded. What can be rented on demand
    can also be had by a bid, and shows the least that wins: for `bid: auto` one search tells both.
    """
    by_bid = node.fixed_bid is not None
    return {
        "type": "bid" if by_bid else "on-demand",
        "gpu_name": {"in": [name for model in node.gpu.models for name in gpus.names(model)]},
        "num_gpus": {"eq": node.gpu.count},
        "verified": {"in": [True] if node.verified else [True, False]},
        "rentable": {"eq": True},
        "external": {"eq": False},
        "allocated_storage": node.disk,
        "order": [["min_bid" if by_bid else "dph_total", "asc"]],
        "limit": 512,
    }


def terms(offer: Offer, node: Node, bid: float | None = None) -> Terms:
    """Return the terms of `offer` on demand, or for a `bid` in $/h.

    Without a known least bid, any bid is taken for one that barely wins.
    """
    gpu = (
        offer.dph_total - offer.storage_cost * node.disk / HOURS_PER_MONTH
        if offer.dph_base is None
        else offer.dph_base
    )
    return Terms(
        gpu=offer.gpu_name,
        gpus=offer.num_gpus,
        dlperf=offer.dlperf,
        price=max(0.0, gpu) if bid is None else bid,
        min_bid=None if bid is None else offer.min_bid or bid,
        storage=offer.storage_cost,
        up_cost=offer.inet_up_cost,
        down_cost=offer.inet_down_cost,
        up=offer.inet_up,
        down=offer.inet_down,
        reliability=min(1.0, max(0.0, offer.reliability)),
        hours_left=None if offer.duration is None else max(0.0, offer.duration / 3600),
    )


def rank(
    offers: Iterable[Offer], node: Node, purchase: Purchase, bad_machines: Collection[int] = ()
) -> Ranking:
    """Rank what may be rented for `node`, by what the job of `purchase` costs in all.

    Equal costs are ordered by reliability, then on demand before a bid, then by the offer's id.

    Args:
        offers: of the market now.
        node: the conditions, and whether to bid.
        purchase: the job, and what was approved for it.
        bad_machines: ids of machines that failed here before.
    """
    choices: list[Choice] = []
    rejected: list[Rejected] = []
    for offer in offers:
        for asked in _ways(offer, node):
            if missed := misfits(offer, asked, node, bad_machines):
                rejected.append(Rejected(offer, asked, missed))
                continue
            best, taken = _best(offer, asked, node, purchase)
            if refusal := purchase.refusal(best, taken):
                missed = (Misfit(refusal, f"{taken.total:.2f} $"),)
                rejected.append(Rejected(offer, best, missed, taken))
            else:
                choices.append(Choice(offer, best, taken))
    choices.sort(
        key=lambda each: (
            each.estimate.total,
            -each.offer.reliability,
            each.terms.interruptible,
            each.offer.id,
        )
    )
    rejected.sort(key=lambda each: (each.offer.id, each.interruptible))
    return Ranking(tuple(choices), tuple(rejected))


def describe(choice: Choice) -> str:
    """Describe `choice` in one line for a person."""
    offer, taken = choice.offer, choice.estimate
    kind = "on demand" if choice.bid is None else f"for a bid of {choice.bid:.3f}"
    return (
        f"{offer.num_gpus}x {offer.gpu_name} {offer.gpu_ram / 1024:.0f} GB in {offer.country or 'unknown'}, "
        f"{taken.rate:.3f} $/h {kind}, {taken.total:.2f} $ in {taken.hours:.1f} h, "
        f"reliability {offer.reliability:.3f}, {offer.inet_down:.0f}/{offer.inet_up:.0f} Mbps "
        f"(machine {offer.machine_id})"
    )


def _ways(offer: Offer, node: Node) -> Iterator[Terms]:
    """Yield the terms on which `offer` might be rented; for `auto` also those of the least bid that wins.

    A bid as dear as on demand is none: it can be lost, and saves nothing.
    """
    asked = terms(offer, node, node.fixed_bid)
    yield asked
    if node.bid == "auto" and 0 < offer.min_bid < asked.price:
        yield terms(offer, node, offer.min_bid)


def _best(offer: Offer, asked: Terms, node: Node, purchase: Purchase) -> tuple[Terms, Estimate]:
    """Return what the job takes on `asked`, for `auto` at the bid that makes it cheapest in time."""
    if node.bid == "auto" and asked.min_bid:
        most = min(node.max_price - asked.disk(node.disk), terms(offer, node).price)
        deadline = purchase.hours or inf
        if found := best_bid(purchase.work, asked, most, purchase.experience, deadline):
            return found
    return asked, estimate(purchase.work, asked, purchase.experience)
