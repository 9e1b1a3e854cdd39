"""Whether the account's balance covers what is about to be rented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.cost.estimate import estimate
from components.errors import BalanceTooLow, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.cost.purchase import Purchase
    from components.vast.client import Api
    from components.vast.offers import Choice

_LEAST: Final = 5.0
"""$ below which a warning is due, whatever the job costs: Vast.ai stops everything at 0."""


def check(api: Api, choice: Choice, purchase: Purchase, count: int, say: Callable[[str], None]) -> None:
    """Compare the balance with what `count` machines of `choice` take; warn where it is tight.

    A training has to be paid to its end; a machine that is to be up, for its setup and one hour.

    Raises:
        BalanceTooLow: it does not cover what is expected.
    """
    work = purchase.work
    if work.kind == "up":
        first = work.model_copy(update={"hours": min(work.hours, 1.0)})
        needed, what = estimate(first, choice.terms, purchase.experience).total, "setup and one hour"
    else:
        needed, what = choice.estimate.total, "the job"
    cover(api, needed * count, choice.estimate.p90 * count, what, say)


def cover(api: Api, needed: float, likely: float, what: str, say: Callable[[str], None]) -> None:
    """Refuse a balance below what is `needed` in $; warn of one below what is `likely`.

    Raises:
        BalanceTooLow: it is.
    """
    credit = balance(api, say)
    if credit is None:
        return
    if credit < needed:
        raise BalanceTooLow(
            f"the balance is {credit:.2f} $, but {what} takes {needed:.2f} $ on the cheapest offer: "
            f"add at least {needed - credit:.2f} $ on Vast.ai's billing page, or "
            f"{max(likely, needed) - credit:.2f} $ to be on the safe side. Nothing was rented."
        )
    if why := doubt(credit, needed, likely):
        say(f"warning: {why}")


def doubt(credit: float, expected: float, likely: float) -> str:
    """Say why `credit` may not last for a job of `expected` $, `likely` at the most; empty if it does."""
    if credit < expected:
        return (
            f"the balance of {credit:.2f} $ does not last: the job is expected to take {expected:.2f} $; "
            f"add {max(likely, expected) - credit:.2f} $ on Vast.ai's billing page to be on the safe side"
        )
    if credit < likely:
        return f"the balance of {credit:.2f} $ may not last: the job may take up to {likely:.2f} $"
    if credit < _LEAST:
        return f"the balance is only {credit:.2f} $; Vast.ai stops every machine when it is used up"
    return ""


def balance(api: Api, say: Callable[[str], None]) -> float | None:
    """Return the $ that the account can spend; None where it is not told: the key may not read it."""
    try:
        return api.user().credit
    except Unauthorized:
        say("the API key may not read the account's balance, so nobody looks whether it lasts")
        return None
