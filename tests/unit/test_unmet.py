"""What is said where nothing may be rented: what excludes most, what comes nearest, and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_models import node, offer, offers

from components.cost.purchase import OfferClass, Purchase
from components.cost.work import Work
from components.errors import NoOffer, NotApproved
from components.spec.node import Node
from components.vast.conditions import FAILED, TAKEN
from components.vast.offers import rank
from components.vast.unmet import nothing_fits
from components.vast.wire import Offer

UP = Purchase(work=Work(kind="up", hours=10, disk=60))


def said(market: list[Offer], wanted: Node, purchase: Purchase = UP, bad: tuple[int, ...] = ()) -> str:
    return str(nothing_fits(rank(market, wanted, purchase, bad)))


def test_the_nearest_offer_is_named_with_what_it_has_instead() -> None:
    far = offer(id=7, dph_base=1.4, verification=None, cpu_cores_effective=1)
    near = offer(id=8, dph_base=1.5)

    assert said([far, near], node(max_price=1)) == (
        "no offer fits: 0 fit; not: 2 dearer than 1 $/h, 1 not verified, 1 with fewer than 2 cores; "
        "nearest: 1x RTX 4090 in DE on demand (offer 8), fails: dearer than 1 $/h (1.512). "
        "Loosen a condition of node, or try later."
    )


def test_conditions_that_contradict_each_other_are_all_named() -> None:
    wanted = node(gpu={"models": ["RTX 4090"], "vram": 24}, internet={"down": 5000}, countries=["IS"])

    assert said([offer()], wanted).endswith(
        "fails: slower than 5000 Mbps down (800), outside IS (DE). Loosen a condition of node, or try later."
    )


def test_a_market_without_these_gpus_is_said_to_have_none() -> None:
    assert said([], node(gpu={"models": ["GTX 750"]})) == (
        "no offer fits: the market has none with these GPUs now. Name more in node.gpu.models, change "
        "node.gpu.count or node.verified, or try later."
    )


def test_by_a_bid_the_nearest_says_what_would_win() -> None:
    text = said([offer(min_bid=0.3)], node(bid=0.1))

    assert "by a bid (offer 1), fails: not for a bid of 0.1 $/h (0.300)" in text


@pytest.mark.parametrize("market", [[], [offer(rentable=False)], [offer(machine_id=13)]], ids=len)
def test_what_no_change_of_the_job_mends_is_never_the_nearest(market: list[Offer]) -> None:
    assert "nearest" not in said(market, node(), bad=(13,))


def test_what_was_tried_is_told() -> None:
    error = nothing_fits(rank([offer()], node(), UP), ["instance 3 on machine 11: still loading"])

    assert "1 fit; already tried: instance 3 on machine 11: still loading" in str(error)


@pytest.mark.parametrize(
    ("limits", "why", "remedy"),
    [
        ({"approved": 1}, "dearer in all than the 1.00 $ that were approved", "`pulumi preview`"),
        (
            {"approved": 1, "classes": [OfferClass(gpu="RTX 4090", max_price=9)]},
            "dearer in all than the 1.00 $ that the lock file allows",
            "STACK --lock",
        ),
        ({"max_total": 1}, "dearer in all than budget.max_total, 1.00 $", "Raise budget.max_total"),
        ({"hours": 1}, "too slow for the deadline in 1.0 h", "Move budget.deadline"),
        (
            {"classes": [OfferClass(gpu="H100 SXM", max_price=9)]},
            "the lock file does not name",
            "STACK --lock",
        ),
        (
            {"classes": [OfferClass(gpu="RTX 4090", max_price=0.1)]},
            "than the lock file allows",
            "STACK --lock",
        ),
    ],
)
def test_what_fits_but_was_not_approved_is_told_with_its_total_and_a_remedy(
    limits: dict[str, Any], why: str, remedy: str
) -> None:
    dearer = offer(id=2, dph_base=1)
    error = nothing_fits(rank([dearer, offer()], node(), UP.model_copy(update=limits)))

    assert isinstance(error, NotApproved)
    assert str(error).startswith(
        "2 offers fit the node, none what was approved; the cheapest is 1x RTX 4090 "
    )
    assert "in DE on demand (offer 1): " in str(error)
    assert why in str(error)
    assert "(0.500 $/h, 5.0" in str(error)
    assert remedy in str(error)
    assert str(error).endswith("Nothing was rented.")


@given(offers(), st.sampled_from([node(), node(bid="auto"), node(bid=0.1), node(max_price=0.2)]))
def test_the_nearest_misses_no_more_than_anything_else_that_could_serve(
    market: list[Offer], wanted: Node
) -> None:
    ranking = rank(market, wanted, UP)
    nearest = ranking.nearest()
    mendable = [
        each for each in ranking.rejected if not {TAKEN, FAILED} & {found.reason for found in each.misfits}
    ]

    assert (nearest is None) == (not mendable)
    assert all(len(nearest.misfits) <= len(each.misfits) for each in mendable if nearest)


@given(offers(), st.floats(0.1, 20))
def test_every_refusal_is_an_error_with_a_remedy(market: list[Offer], approved: float) -> None:
    ranking = rank(market, node(bid="auto"), UP.model_copy(update={"approved": approved}))
    error = nothing_fits(ranking)

    assert isinstance(error, NoOffer)
    assert isinstance(error, NotApproved) == (not ranking.choices and ranking.refused() is not None)
