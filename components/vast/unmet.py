"""What to say where nothing may be rented: what excludes most, what comes nearest, and what to do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.errors import NoOffer, NotApproved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.vast.offers import Ranking, Rejected

_REMEDIES: Final = {
    "lock file": "Renew it with `./fragua cost STACK --lock`",
    "budget.max_total": "Raise budget.max_total, or ask for less work",
    "approved": (
        "See what it costs now with `pulumi preview` (for what `./fragua train` rents, with `-C "
        ".fragua/train/STACK -s STACK`), then go on; budget.slack says how much dearer than shown it may be"
    ),
    "deadline": (
        "Move budget.deadline, ask for less (fewer budget.hours, a shorter training), or, for a training, "
        "allow faster GPUs in node.gpu.models"
    ),
}
"""By a word of the refusal."""


def nothing_fits(ranking: Ranking, failures: Sequence[str] = ()) -> NoOffer:
    """Return the error for a `ranking` without a choice, or with none that was not tried.

    Args:
        ranking: of the market now.
        failures: what became of the machines that were tried.
    """
    tried = f"; already tried: {'; '.join(failures)}" if failures else ""
    if not ranking.choices and (refused := ranking.refused()):
        [misfit] = refused.misfits
        count = len({each.offer.id for each in ranking.rejected if each.estimate})
        remedy = next(
            (text for word, text in _REMEDIES.items() if word in misfit.reason), "Look at the job's budget"
        )
        return NotApproved(
            f"{count} offers fit the node, none what was approved; the cheapest is {_named(refused)}: "
            f"{misfit.reason} ({_expected(refused)}){tried}. {remedy}. Nothing was rented."
        )
    if not ranking.choices and not ranking.rejected:
        return NoOffer(
            f"no offer fits: the market has none with these GPUs now{tried}. Name more in node.gpu.models, "
            "change node.gpu.count or node.verified, or try later."
        )
    nearest = ranking.nearest()
    near = f"; nearest: {_named(nearest)}, fails: {_failing(nearest)}" if nearest else ""
    return NoOffer(
        f"no offer fits: {ranking.explain()}{near}{tried}. Loosen a condition of node, or try later."
    )


def _named(rejected: Rejected) -> str:
    offer = rejected.offer
    kind = "by a bid" if rejected.interruptible else "on demand"
    return f"{offer.num_gpus}x {offer.gpu_name} in {offer.country or 'unknown'} {kind} (offer {offer.id})"


def _expected(rejected: Rejected) -> str:
    taken = rejected.estimate
    return f"{taken.rate:.3f} $/h, {taken.total:.2f} $ in {taken.hours:.1f} h expected" if taken else ""


def _failing(rejected: Rejected) -> str:
    return ", ".join(map(str, rejected.misfits))
