"""Whole runs drawn by chance, with their losses and speeds: they take in the mean what the estimate says."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from cost_models import terms, work

from components.cost.estimate import Estimate, estimate
from components.cost.experience import Experience
from components.cost.survival import hazard
from components.cost.terms import Terms
from components.cost.work import Work

RUNS = 4000


def lived(job: Work, found: Estimate, rate: float, chance: random.Random) -> float:
    """Return the hours of one run: each part is worked again until no loss falls into it."""
    start, worked, home, _, vain = (part.hours for part in found.parts[:5])
    assert found.pace
    faster = chance.lognormvariate(-(found.pace.spread**2) / 2, found.pace.spread)
    part = worked / job.saves
    pieces = (worked + home) / part
    hours = start + vain
    for piece in range(round(pieces)):
        length = part * faster if piece < job.saves else part
        while (loss := chance.expovariate(rate)) < length:
            hours += loss + start
        hours += length
    return hours


@pytest.mark.parametrize(
    ("job", "on"),
    [
        (work(images=20_000), terms()),
        (work(images=20_000), terms(price=0.21, min_bid=0.2)),
        (work(images=20_000, saves=4), terms(price=0.24, min_bid=0.2)),
        (work(images=60_000, saves=40, kind="full"), terms(price=0.22, min_bid=0.2, gpu="A100 SXM4")),
        (work(images=3000, saves=1), terms(price=0.3, min_bid=0.2, gpu="RTX 3090", reliability=0.9)),
    ],
)
def test_drawn_runs_take_what_was_estimated(job: Work, on: Terms) -> None:
    found = estimate(job, on)
    chance = random.Random(7)
    hours = [lived(job, found, hazard(on, Experience()), chance) for _ in range(RUNS)]
    within = sum(each <= found.p90_hours for each in hours) / RUNS

    assert fmean(hours) == pytest.approx(found.hours, rel=0.05)
    assert 0.85 <= within <= 0.97
