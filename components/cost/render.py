"""A quote in words: for a terminal, and as Markdown for a pull request. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from components.cost.quote import Option, Quote

_RENTED: Final = "nothing that is expected to cost more is rented"


def text(quote: Quote) -> list[str]:
    """Return a quote in a few lines."""
    if not quote.options:
        return ["nothing that is offered now fits", *quote.warnings]
    many = quote.machines
    lines = [
        (
            f"{money(quote.total)} $ in {_duration(quote.hours)} on {_machines(quote)}, "
            f"at {price(quote.price)} $/h"
        ),
        (
            f"nine of ten runs below {money(quote.p90)} $; disk {_known(quote, quote.storage)}, "
            f"traffic {_known(quote, quote.traffic)}; {_prices(quote)}"
        ),
    ]
    if quote.ceiling is not None:
        lines.append(f"ceiling {money(quote.ceiling)} $, {quote.ceiling_from}: {_RENTED}")
        lines += [quote.unbounded] if quote.unbounded else []
    lines += [f"else {_option(each, many)}" for each in quote.others]
    if quote.running or quote.before:
        lines.append(f"against what runs now: {_change(quote)}")
    return [*lines, *(f"note: {warning}" for warning in quote.warnings)]


def markdown(name: str, quote: Quote) -> str:
    """Return a quote as a comment on a pull request."""
    title = f"### Cost of `{name}`"
    notes = [f"> {warning}" for warning in quote.warnings]
    if not quote.options:
        return "\n\n".join([title, "Nothing that is offered now fits.", "\n".join(notes)]).rstrip() + "\n"
    many = quote.machines
    rows = [
        "| | machine | $/h | hours | total | p90 | disk | traffic |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
        *(_row(quote, each, each.machines, "**now**") for each in quote.fleet),
        *(_row(quote, each, many, "else") for each in quote.others),
    ]
    facts = [f"**Change** {_change(quote)}."]
    if quote.ceiling is not None:
        more = f"; {quote.unbounded}" if quote.unbounded else ""
        facts.append(f"**Ceiling** {money(quote.ceiling)} $ ({quote.ceiling_from}): {_RENTED}{more}.")
    facts.append(f"**Basis** {_prices(quote)}; job `{quote.digest}`.")
    blocks = [
        "\n".join(rows),
        "\n".join(f"- {fact}" for fact in facts),
        *(["\n".join(notes)] if notes else []),
    ]
    return "\n\n".join([title, *blocks]) + "\n"


def _row(quote: Quote, option: Option, many: int, which: str) -> str:
    cells = (
        which,
        f"{_times(many)}{option.name}",
        price(option.price * many),
        f"{option.hours:.1f}",
        *(f"{money(each * many)} $" for each in (option.total, option.p90)),
        *(_known(quote, each * many) for each in (option.storage, option.traffic)),
    )
    return f"| {' | '.join(cells)} |"


def money(dollars: float) -> str:
    """Return dollars, to the cent, or to two digits below ten cents."""
    return f"{dollars:.2f}" if abs(dollars) >= 0.1 or not dollars else f"{dollars:.2g}"


def price(dollars: float) -> str:
    """Return $/h, to a tenth of a cent."""
    return f"{dollars:.3f}"


def _known(quote: Quote, dollars: float) -> str:
    """Return dollars of a part that only a market, or what runs, tells."""
    return "unknown" if quote.source == "preset" else f"{money(dollars)} $"


def _machines(quote: Quote) -> str:
    [first, *rest] = quote.fleet
    if not rest:
        return f"{_times(quote.machines)}{first.name}"
    return (
        f"{quote.machines} machines ({'; '.join(f'{each.machines} of {each.name}' for each in quote.fleet)})"
    )


def _times(machines: int) -> str:
    return f"{machines} machines of " if machines > 1 else ""


def _option(option: Option, many: int) -> str:
    return (
        f"{_times(many)}{option.name}, {price(option.price * many)} $/h: {money(option.total * many)} $ "
        f"in {option.hours:.1f} h"
    )


def _duration(hours: float) -> str:
    return f"about {hours:.1f} h" if hours >= 1 else f"about {hours * 60:.0f} min"


def _change(quote: Quote) -> str:
    return (
        f"{quote.price - quote.running:+.3f} $/h (from {price(quote.running)}), "
        f"{quote.total - quote.before:+.2f} $ for the job (from {money(quote.before)})"
    )


def _prices(quote: Quote) -> str:
    when = datetime.fromtimestamp(quote.when, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {
        "market": f"prices of {when}",
        "last known": f"the last known prices, of {when}",
        "preset": "no prices are known: the dearest that node.max_price allows",
        "what runs": "prices of what runs already",
    }[quote.source]
