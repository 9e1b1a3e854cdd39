"""What must hold of every estimate: no dearer copy wins, nothing better costs more, and its sum is right."""

from __future__ import annotations

import math
from typing import Any

import pytest
from cost_models import EXPERIENCES, TERMS, TRAININGS, WORKS, numbers, terms, work
from hypothesis import given
from hypothesis import strategies as st

from components.cost.estimate import Estimate, estimate
from components.cost.experience import Experience, Speed
from components.cost.speeds import key
from components.cost.terms import Terms
from components.cost.work import Work

ROUNDING = 1e-9


def no_less(more: float, less: float) -> bool:
    """Tell whether the first is at least the second, but for rounding."""
    return more >= less * (1 - ROUNDING) - ROUNDING


def dearer_or_equal(more: Estimate, less: Estimate) -> bool:
    """Tell whether the first costs and takes at least as much as the second."""
    return no_less(more.total, less.total) and no_less(more.hours, less.hours)


def changed(model: Any, **values: Any) -> Any:
    """Return a copy with other values."""
    return model.model_copy(update=values)


@given(WORKS, TERMS, EXPERIENCES)
def test_the_parts_are_the_sum_and_every_number_is_one(job: Work, on: Terms, own: Experience) -> None:
    found = estimate(job, on, own)

    assert found.total == pytest.approx(sum(part.dollars for part in found.parts))
    assert found.hours == pytest.approx(sum(part.hours for part in found.parts))
    assert found.p90 >= found.total >= 0
    assert found.p90_hours >= found.hours >= 0
    assert found.rate == on.price + on.disk(job.disk)
    for number in (found.p90, found.p90_hours, found.losses):
        assert math.isfinite(number)
    for part in found.parts:
        assert part.dollars >= 0
        assert part.hours >= 0


@given(
    WORKS,
    TERMS.filter(lambda each: each.min_bid is None),
    EXPERIENCES,
    st.sampled_from(["price", "storage", "up_cost", "down_cost"]),
    numbers(0, 10),
)
def test_a_dearer_copy_never_costs_less(
    job: Work, on: Terms, own: Experience, field: str, more: float
) -> None:
    dearer = changed(on, **{field: getattr(on, field) + more})

    assert dearer_or_equal(estimate(job, dearer, own), estimate(job, on, own))


@given(WORKS, TERMS, EXPERIENCES, numbers(0, 1))
def test_a_more_reliable_host_never_costs_more(job: Work, on: Terms, own: Experience, other: float) -> None:
    low, high = sorted((on.reliability, other))

    assert dearer_or_equal(
        estimate(job, changed(on, reliability=low), own), estimate(job, changed(on, reliability=high), own)
    )


@given(WORKS, TERMS, EXPERIENCES, st.sampled_from(["up", "down"]), numbers(0, 10_000))
def test_a_faster_network_never_costs_more(
    job: Work, on: Terms, own: Experience, field: str, more: float
) -> None:
    faster = changed(on, **{field: getattr(on, field) + more})

    assert dearer_or_equal(estimate(job, on, own), estimate(job, faster, own))


@given(WORKS, TERMS, EXPERIENCES, numbers(0, 1000))
def test_a_longer_rental_never_costs_more(job: Work, on: Terms, own: Experience, more: float) -> None:
    if on.hours_left is not None:
        longer = changed(on, hours_left=on.hours_left + more)
        assert dearer_or_equal(estimate(job, on, own), estimate(job, longer, own))
        assert dearer_or_equal(estimate(job, longer, own), estimate(job, changed(on, hours_left=None), own))


@given(TRAININGS, TERMS, EXPERIENCES, numbers(0, 1e6))
def test_more_images_never_cost_less(job: Work, on: Terms, own: Experience, more: float) -> None:
    assert dearer_or_equal(estimate(changed(job, images=job.images + more), on, own), estimate(job, on, own))


@given(TRAININGS, TERMS, EXPERIENCES, st.integers(1, 100))
def test_more_saves_never_cost_more(job: Work, on: Terms, own: Experience, more: int) -> None:
    saved_more = estimate(changed(job, saves=job.saves + more), on, own)

    assert dearer_or_equal(estimate(job, on, own), saved_more)


@given(TRAININGS, TERMS, numbers(0.1, 10), numbers(1, 10), st.integers(1, 100))
def test_slower_own_runs_never_make_a_job_cheaper(
    job: Work, on: Terms, seconds: float, times: float, runs: int
) -> None:
    def after(own: float) -> Estimate:
        speeds = {key(on.gpu, job.kind): Speed(seconds=own, runs=runs)}
        return estimate(job, on, Experience(speeds=speeds))

    assert dearer_or_equal(after(seconds * times), after(seconds))


@given(WORKS, TERMS, EXPERIENCES, st.integers(0, 100), numbers(0, 1000))
def test_more_losses_never_make_bids_cheaper_and_quiet_hours_never_dearer(
    job: Work, on: Terms, own: Experience, more: int, hours: float
) -> None:
    found = estimate(job, on, own)

    assert dearer_or_equal(estimate(job, on, changed(own, outbid=own.outbid + more)), found)
    assert dearer_or_equal(found, estimate(job, on, changed(own, bid_hours=own.bid_hours + hours)))


def test_the_sum_by_hand() -> None:
    job = work(images=0, kind="up", hours=10, disk=72, image=9, fetched=9, sent=0, returned=0, setup=360)
    on = terms(price=1, storage=0.1, down_cost=0.01, down=800, reliability=1)

    found = {part.name: part for part in estimate(job, on).parts}
    image, setup = 9 * 8000 / 800 / 3600 + 9 / 1260, 0.1 + 9 * 8000 / 800 / 3600
    losses = 0.0001 / 0.9999 * 10
    vain = 0.02 / 0.98 * (1 + losses)

    assert found["start"].hours == pytest.approx(image + setup)
    assert found["start"].dollars == pytest.approx(setup)
    assert found["work"].dollars == 10
    assert found["losses"].dollars == pytest.approx(losses * setup)
    assert found["in vain"].dollars == pytest.approx(vain * 0.1)
    assert found["traffic in"].dollars == pytest.approx(18 * 0.01 * (1 + losses + vain))
    assert found["disk"].dollars == pytest.approx(0.1 * 72 / 720 * estimate(job, on).hours)


def test_the_last_checkpoint_is_waited_for_and_so_are_those_that_training_left_behind() -> None:
    few = estimate(work(returned=1, saves=1), terms(up=100)).parts[2]
    many = estimate(work(returned=100, saves=100), terms(up=100)).parts[2]
    worked = estimate(work(), terms()).parts[1].hours

    assert few.name == many.name == "home"
    assert few.hours == pytest.approx(8000 / 100 / 3600)
    assert many.hours == pytest.approx(100 * 8000 / 100 / 3600 - worked)


def test_a_loss_costs_half_of_what_lies_between_two_saves() -> None:
    job, on = work(images=10_000), terms(price=0.2, min_bid=0.2)
    once, often = (estimate(changed(job, saves=saves), on) for saves in (1, 1000))
    hours = once.parts[1].hours

    assert often.losses == pytest.approx(1.71 * hours, rel=0.02)
    assert once.parts[3].hours - often.parts[3].hours > often.losses * hours / 2


def test_a_rental_that_ends_too_early_is_started_anew() -> None:
    job = work(images=50_000)
    whole = estimate(job, terms())
    cut = estimate(job, terms(hours_left=whole.parts[1].hours))

    assert cut.losses == pytest.approx(whole.losses + 1)
    assert cut.total > whole.total
