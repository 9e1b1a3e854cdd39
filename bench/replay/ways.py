"""The ways to rent that are compared, and the replay of one job by one of them. None sees the future."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from bench.replay.stay import Stay
from components.cost.estimate import estimate
from components.cost.purchase import Purchase
from components.cost.rebidding import rebid
from components.vast.offers import Choice, rank, terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.replay.cases import Case
    from bench.replay.world import World
    from components.cost.experience import Experience
    from components.cost.work import Work
    from components.spec.node import Node
    from components.vast.wire import Offer

AGAIN: Final = 60.0
"""Seconds from the loss of a machine until another one is rented."""
_RETRY: Final = 300.0
_LONGEST: Final = 72.0
"""Hours after which a job is given up."""


@dataclass(frozen=True)
class Want:
    """What is to be rented, and for what.

    Attributes:
        node: the conditions.
        work: that is left.
        hours: to the deadline; None where there is none.
        bad: machines that failed before.
    """

    node: Node
    work: Work
    hours: float | None = None
    bad: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Outcome:
    """What a job took, by one way.

    Attributes:
        dollars: in all.
        hours: from the start to the end.
        losses: machines that were lost, faulty ones included.
        bid_hours: that interruptible machines ran.
        outbid: how often one of them was taken away.
        done: whether it came to its end.
    """

    dollars: float = 0.0
    hours: float = 0.0
    losses: int = 0
    bid_hours: float = 0.0
    outbid: int = 0
    done: bool = False


def guide(found: list[Offer], want: Want) -> Choice | None:
    """Take the cheapest $/h on demand."""
    fitting = rank(found, want.node, Purchase(work=want.work), want.bad).choices
    return min(fitting, key=lambda each: (each.estimate.rate, each.offer.id), default=None)


def least(found: list[Offer], want: Want) -> Choice | None:
    """Take the least bid, the disk included, and bid no more, as SkyPilot does."""
    on_demand = want.node.model_copy(update={"bid": None})
    fitting = [each.offer for each in rank(found, on_demand, Purchase(work=want.work), want.bad).choices]
    bids = [(offer, terms(offer, want.node, offer.min_bid)) for offer in fitting if offer.min_bid]
    choices = [Choice(offer, asked, estimate(want.work, asked)) for offer, asked in bids]
    return min(choices, key=lambda each: (each.estimate.rate, each.offer.id), default=None)


@dataclass(frozen=True)
class Way:
    """A way to rent.

    Attributes:
        name: for the table.
        choose: what to rent of the offers found; None to look again later.
        by_guide: whether the guide's conditions hold, instead of the job's.
        experience: of a way that looks at its bid again every five minutes, as `fragua watch` does.
    """

    name: str
    choose: Callable[[list[Offer], Want], Choice | None]
    by_guide: bool = False
    experience: Experience | None = None


def ours(name: str, experience: Experience) -> Way:
    """Return our way: the least expected cost in time; where nothing is in time, the quickest."""

    def choose(found: list[Offer], want: Want) -> Choice | None:
        hours = None if want.hours is None else max(0.01, want.hours)
        purchase = Purchase(work=want.work, hours=hours, experience=experience)
        ranking = rank(found, want.node, purchase, want.bad)
        if ranking.choices:
            return ranking.choices[0]
        late = [each for each in ranking.rejected if each.estimate]
        quickest = min(late, key=lambda each: each.estimate.hours if each.estimate else inf, default=None)
        return (
            Choice(quickest.offer, quickest.terms, quickest.estimate)
            if quickest and quickest.estimate
            else None
        )

    return Way(name, choose, experience=experience)


def play(world: World, case: Case, start: float, way: Way) -> Outcome:
    """Replay `case` from `start` seconds on, renting by `way` until the work is done."""
    whole, node = (case.guide_work, case.guide) if way.by_guide else (case.work, case.node)
    parts, now, bad, outcome = whole.saves, start, set[int](), Outcome()
    while parts and now < start + _LONGEST * 3600:
        hours = case.hours - (now - start) / 3600 if case.hours else None
        want = Want(node, rest(whole, parts), hours, frozenset(bad))
        choice = way.choose(world.search(node, now), want)
        if choice is None:
            now += _RETRY
            continue
        stay = Stay(world, world.slice(choice.offer), want.work, now, choice.bid)
        end = stay.run(_rebid(world, way, want, choice.offer))
        parts, now = stay.left, stay.now
        outcome = Outcome(
            dollars=outcome.dollars + stay.dollars,
            hours=(now - start) / 3600,
            losses=outcome.losses + (end != "done"),
            bid_hours=outcome.bid_hours + (stay.gpu_hours if choice.bid else 0),
            outbid=outcome.outbid + stay.outbid,
            done=not parts,
        )
        if end == "fault":
            bad.add(choice.offer.machine_id)
        now += AGAIN
    return outcome


def _rebid(world: World, way: Way, want: Want, offer: Offer) -> Callable[[Stay], float | None] | None:
    """Return how `way` looks at a bid again."""
    experience, node = way.experience, want.node
    if experience is None:
        return None

    def look(stay: Stay) -> float | None:
        bid, least = stay.bid or 0.0, world.min_bid(stay.slice, stay.now)
        asked = terms(offer, node, bid).model_copy(update={"min_bid": least})
        left, most = rest(want.work, max(1, stay.left)), node.max_price - asked.disk(node.disk)
        better = rebid(left, asked, most, inf, experience)
        if better is None or better <= bid:
            return better
        others = Want(node, left, bad=want.bad | {offer.machine_id})
        other = way.choose(world.search(node, stay.now), others)
        return rebid(left, asked, most, other.estimate.total if other else inf, experience)

    return look


def rest(work: Work, parts: int) -> Work:
    """Return what is left of `work` when `parts` of it are: where some is done, its state goes along."""
    share = parts / work.saves
    left = {"images": work.images * share, "returned": work.returned * share, "saves": parts}
    sent = {"sent": work.sent + work.state, "state": 0.0} if parts < work.saves else {}
    return work.model_copy(update={**left, **sent})
