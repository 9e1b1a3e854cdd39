"""What the earlier machines of a resource cost: budget.max_total counts them too.

A resource's machines are known by their label, whose key is the stack's own: `pulumi destroy` ends the count.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from components.errors import NotApproved, Unauthorized, VastError
from components.vast import charges
from components.vast.machines import Gone, GoneMachines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from components.cost.purchase import Purchase
    from components.vast.client import Api

_DAY: Final = 86400
_BACK: Final = 90 * _DAY


@dataclass(frozen=True)
class Earlier:
    """What machines that are gone cost.

    Attributes:
        dollars: of each, by its instance.
        problem: why Vast.ai's charges are not known; empty where they are.
    """

    dollars: Mapping[int, float]
    problem: str = ""

    @property
    def total(self) -> float:
        """$ in all."""
        return sum(self.dollars.values())

    def __str__(self) -> str:
        """Name each for a person, the dearest first."""
        dearest = sorted(self.dollars.items(), key=lambda found: (-found[1], found[0]))
        each = ", ".join(f"instance {number} ({dollars:.2f} $)" for number, dollars in dearest)
        return f"{self.total:.2f} $ were spent by {each}"


def counted(
    api: Api, owner: str, running: Collection[int], purchase: Purchase, say: Callable[[str], None]
) -> Purchase:
    """Return `purchase` with what machines of `owner` cost but those that are `running`.

    Nothing is asked without a ceiling.

    Raises:
        NotApproved: that is all that may be spent.
    """
    if purchase.max_total is None:
        return purchase
    [every] = look(api, {owner: {}})
    ended = {number: dollars for number, dollars in every.dollars.items() if number not in running}
    found = Earlier(ended, every.problem)
    for line in told(found, purchase.max_total):
        say(line)
    return purchase.model_copy(update={"before": found.total})


def told(found: Earlier, most: float, machines: int = 1) -> list[str]:
    """Return what a person should know of what `found` leaves of `most` $, which so many machines share.

    Raises:
        NotApproved: nothing.
    """
    share, each = most / machines, f" for each of {machines} machines" if machines > 1 else ""
    if found.dollars and round(share - found.total, 2) <= 0:
        raise NotApproved(
            f"budget.max_total: nothing is left of {share:.2f} ${each or ' for another machine'}: {found}. "
            "Raise it to go on, or end this job by `pulumi destroy`: the next `pulumi up` counts anew. "
            "Nothing was rented."
        )
    spent = [f"{found}, of the {share:.2f} $ of budget.max_total{each}"] if found.dollars else []
    return [*([found.problem] if found.problem else []), *spent]


def look(api: Api, ending: Mapping[str, Mapping[str, Any]]) -> list[Earlier]:
    """Find what machines cost by the owners that their labels carry, in one call: those of 90 days.

    More calls are made only where the account has more than 500 charges of that time.

    Args:
        api: the account.
        ending: by owner the outputs of a machine that is still there, and counts as if it ended now; or {}.
    """
    now, problem, rows = time.time(), "", []
    try:
        rows = api.charges(now - _BACK, now + _DAY)
    except VastError as error:
        why = "the API key may not read charges (billing_read)" if isinstance(error, Unauthorized) else error
        problem = (
            f"{why}: of earlier machines budget.max_total counts only those that this computer saw end, from "
            "their renting until then"
        )
    memory, found = GoneMachines(api.url), []
    for owner, machine in ending.items():
        last = Gone.of(machine, now)
        gone = [*([last] if last else []), *memory.of(owner)]
        found.append(Earlier(charges.earlier(rows, gone, owner, now), problem))
    return found
