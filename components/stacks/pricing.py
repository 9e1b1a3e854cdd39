"""The price of what is asked for: on the market of this moment, or on the machines that are there."""

from __future__ import annotations

import time
from statistics import fmean
from typing import TYPE_CHECKING, Any

from components.cost.estimate import estimate
from components.cost.purchase import Purchase
from components.cost.quoting import bound, quote
from components.cost.terms import HOURS_PER_MONTH, Terms
from components.record.experience import read_experience
from components.vast import market, offers
from components.vast.balance import doubt
from components.vast.status import Status
from components.vast.unmet import nothing_fits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from components.cost.experience import Experience
    from components.cost.quote import Quote
    from components.cost.quoting import Way
    from components.stacks.asked import Asked
    from components.stacks.lock import Lock
    from components.vast.market import Market
    from components.vast.offers import Ranking


def ranked(
    asked: Asked,
    config: Callable[[str], str | None] = lambda _: None,
    lock: Lock | None = None,
    newer_than: float = 0,
) -> tuple[Ranking, Market]:
    """Look at the market, in at most two calls, and rank what may be rented, budget.max_total apart.

    Args:
        asked: what is to be rented.
        config: reads the stack's config, such as `vast:apiKey`.
        lock: the only classes that may be rented.
        newer_than: epoch seconds; what is known of the market from before is asked anew.
    """
    seen = market.look(asked.node, config, newer_than)
    purchase = Purchase(
        work=asked.work,
        hours=asked.budget.hours_until_deadline(),
        classes=lock.classes if lock else (),
        experience=read_experience(seen.url),
    )
    return offers.rank(seen.offers, asked.node, purchase, seen.bad_machines), seen


def quoted(
    asked: Asked,
    ranking: Ranking,
    seen: Market,
    lock: Lock | None = None,
    running: float = 0,
    before: float = 0,
    kept: Sequence[Way] = (),
) -> Quote:
    """Return the quote of `asked` on the market that was `seen`; see `components.cost.quoting.quote`.

    A balance that may not last for it is among the warnings.
    """
    found = [(choice.terms, choice.estimate) for choice in ranking.choices]
    ids = [choice.offer.id for choice in ranking.choices]
    notes = [seen.problem] if seen.problem else []
    if seen.source == "preset":
        found, ids = bound(asked.node, asked.work, read_experience(seen.url)), []
    elif not found:
        notes.append(str(nothing_fits(ranking)))
    priced = quote(
        found,
        asked.budget,
        asked.work,
        digest=asked.digest,
        when=seen.when,
        source=seen.source,
        offers=ids,
        machines=asked.machines,
        kept=kept,
        locked=lock.max_total if lock else None,
        running=running,
        before=before,
        notes=notes,
    )
    if seen.credit is None or not (why := doubt(seen.credit, priced.total, priced.p90)):
        return priced
    return priced.model_copy(update={"warnings": (*priced.warnings, why)})


def going_on(
    asked: Asked,
    machines: Sequence[Mapping[str, Any]],
    experience: Experience,
    *,
    running: float,
    before: float,
    lock: Lock | None = None,
) -> Quote:
    """Return the quote of what goes on with the machines that it has, at their own prices.

    Args:
        asked: the job.
        machines: the outputs of their resources.
        experience: of earlier runs.
        running: $/h of those that run.
        before: $ of the job that they are on now.
        lock: what a team approved.
    """
    return quote(
        [there(asked, machines, experience)],
        asked.budget,
        asked.work,
        digest=asked.digest,
        when=time.time(),
        source="what runs",
        machines=asked.machines,
        locked=lock.max_total if lock else None,
        running=running,
        before=before,
    )


def there(asked: Asked, machines: Sequence[Mapping[str, Any]], experience: Experience) -> Way:
    """Return the terms of machines that are there, their prices' mean, and what the job takes on one.

    A bid that the job says in $/h counts as it will be. One that runs wins: the least that wins is no more.
    """
    first, gb = machines[0], asked.node.disk
    gpus = fmean(_gpus(each, gb) for each in machines)
    interruptible, bid = bool(first.get("interruptible")), asked.node.fixed_bid
    price = bid if interruptible and bid is not None else gpus
    least = min(price, gpus) if first["status"] == Status.RUNNING else price
    terms = Terms(
        gpu=first["gpu"],
        gpus=int(first["gpu_count"]),
        price=price,
        min_bid=least if interruptible else None,
        storage=max(0.0, fmean(each["price"] for each in machines) - gpus) * HOURS_PER_MONTH / gb,
        up_cost=fmean(each.get("up_cost", 0) for each in machines),
        down_cost=fmean(each.get("down_cost", 0) for each in machines),
        up=asked.node.internet.up,
        down=asked.node.internet.down,
        reliability=asked.node.reliability,
    )
    return terms, estimate(asked.work.model_copy(update={"image": 0}), terms, experience)


def _gpus(machine: Mapping[str, Any], gb: float) -> float:
    """Return $/h of a machine without its disk of so many GB; a state of an earlier version knows no disk."""
    if machine.get("bid") is not None:
        return float(machine["bid"])
    return float(machine["price"] - machine.get("storage_cost", 0) * gb / HOURS_PER_MONTH)
