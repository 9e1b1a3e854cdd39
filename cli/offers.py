"""The market for a job: what each offer would cost in all, and why each lost."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from cli.tables import show
from components.cost.render import money, price, text
from components.errors import FraguaError
from components.spec.load import placed
from components.stacks.asked import asked_by
from components.stacks.pricing import quoted, ranked
from components.vast.offers import Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from components.cost.estimate import Estimate
    from components.vast.market import Market
    from components.vast.offers import Choice, Ranking
    from components.vast.wire import Offer

_ROWS: Final = 12
_SPARE: Final = ("machine", "reliability", "country")
_RIGHT: Final = ("", "id", "machine", "$/h", "hours", "total $", "p90 $", "reliability")


def run(path: Path, explained: int | None, *, every: bool, as_json: bool) -> None:
    """Print the market for the job in that file.

    Args:
        path: the job file.
        explained: id of the one offer whose sum is printed instead.
        every: print all offers, and the id of each that does not fit.
        as_json: print all that is known as JSON.

    Raises:
        FraguaError: the job cannot be right, the market cannot be reached, or has no such offer.
    """
    asked = asked_by(*placed(path))
    ranking, seen = ranked(asked)
    if not seen.offers:
        raise FraguaError(
            seen.problem or "the market has no offer with these GPUs now: name more in node.gpu"
        )
    if as_json:
        print(json.dumps(_described(ranking, seen), indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    if explained is not None:
        _explain(console, ranking, explained)
        return
    show(console, _table(ranking.choices if every else ranking.choices[:_ROWS]), _SPARE)
    if (more := len(ranking.choices) - _ROWS) > 0 and not every:
        console.print(Text(f"and {more} dearer ones: --all shows them"))
    show(console, _losers(ranking, every=every))
    for line in text(quoted(asked, ranking, seen)):
        console.print(Text(line))


def _table(choices: tuple[Choice, ...]) -> Table:
    names = ("", "id", "machine", "GPU", "kind", "$/h", "hours", "total $", "p90 $", "reliability", "country")
    columns = [Column(name, justify="right" if name in _RIGHT else "left") for name in names]
    table = Table(*columns)
    for rank, choice in enumerate(choices, 1):
        offer, taken = choice.offer, choice.estimate
        table.add_row(
            str(rank),
            str(offer.id),
            str(offer.machine_id),
            f"{offer.num_gpus}x {offer.gpu_name}",
            _kind(choice.bid),
            price(taken.rate),
            f"{taken.hours:.1f}",
            money(taken.total),
            money(taken.p90),
            f"{offer.reliability:.3f}",
            offer.country,
        )
    return table


def _kind(bid: float | None) -> str:
    return "on demand" if bid is None else f"bid {bid:.3f}"


def _losers(ranking: Ranking, *, every: bool) -> Table:
    """Return the offers that may not be rented, by why: each under the first condition that it misses."""
    reasons: defaultdict[str, dict[int, Rejected]] = defaultdict(dict)
    fit = {choice.offer.id for choice in ranking.choices}
    for each in ranking.rejected:
        if each.offer.id not in fit:
            reasons[each.reason][each.offer.id] = each
    table = Table(Column("lost", justify="right"), "why", "offers")
    for reason, lost in sorted(reasons.items(), key=lambda found: -len(found[1])):
        shown = list(lost.values()) if every else list(lost.values())[:3]
        examples = ", ".join(_offer(each) for each in shown)
        table.add_row(str(len(lost)), reason, examples + (" ..." if len(shown) < len(lost) else ""))
    return table


def _offer(lost: Rejected) -> str:
    return f"{lost.offer.id} ({lost.misfits[0].has})" if lost.misfits[0].has else str(lost.offer.id)


def _explain(console: Console, ranking: Ranking, offer_id: int) -> None:
    """Print the sum of each way to rent the offer, or what it misses."""
    every: list[Choice | Rejected] = [*ranking.choices, *ranking.rejected]
    ways = [each for each in every if each.offer.id == offer_id]
    if not ways:
        raise FraguaError(f"no offer {offer_id} on the market now: offers come and go, and so do their ids")
    for way in ways:
        bid = way.terms.price if way.terms.interruptible else None
        title = f"offer {offer_id}: {way.terms.gpus}x {way.terms.gpu}, {_kind(bid)}"
        console.print(Text(title, style="bold"))
        if way.estimate:
            show(console, _sum(way.estimate))
        if isinstance(way, Rejected):
            for misfit in way.misfits:
                console.print(
                    Text(f"not rented: {misfit.reason}{f', it has {misfit.has}' if misfit.has else ''}")
                )
        else:
            console.print(Text(f"number {ranking.choices.index(way) + 1} of {len(ranking.choices)}"))


def _sum(taken: Estimate) -> Table:
    table = Table("", *(Column(name, justify="right") for name in ("$", "hours")), "", show_footer=True)
    for part in taken.parts:
        table.add_row(part.name, f"{part.dollars:.4f}", f"{part.hours:.2f}" if part.hours else "", part.how)
    first, second, third, last = table.columns
    first.footer, second.footer, third.footer = "in the mean", f"{taken.total:.4f}", f"{taken.hours:.2f}"
    last.footer = f"nine of ten runs below {taken.p90:.4f} $ and {taken.p90_hours:.2f} h"
    return table


def _described(ranking: Ranking, seen: Market) -> dict[str, Any]:
    return {
        "when": seen.when,
        "source": seen.source,
        "choices": [
            {**_row(each.offer), "bid": each.bid, **_taken(each.estimate)} for each in ranking.choices
        ],
        "rejected": [
            {
                **_row(each.offer),
                "interruptible": each.interruptible,
                "reasons": [misfit.reason for misfit in each.misfits],
                **(_taken(each.estimate) if each.estimate else {}),
            }
            for each in ranking.rejected
        ],
    }


def _row(offer: Offer) -> dict[str, Any]:
    return {
        "offer": offer.id,
        "machine": offer.machine_id,
        "gpu": offer.gpu_name,
        "gpus": offer.num_gpus,
        "reliability": offer.reliability,
        "country": offer.country,
    }


def _taken(taken: Estimate) -> dict[str, Any]:
    return {
        "pricePerHour": taken.rate,
        "hours": taken.hours,
        "total": taken.total,
        "p90": taken.p90,
        "parts": {part.name: part.dollars for part in taken.parts},
    }
