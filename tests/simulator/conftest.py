"""A calm simulator on paper machines whose clock stands still until a test moves it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from paper_machine import PaperMachine
from rest_client import Client

from simulator.server import Simulator

STILL = 1e-6


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(scale=STILL, calm=True, rate_limits=0, make_host=PaperMachine) as simulator:
        yield simulator


@pytest.fixture
def api(sim: Simulator) -> Client:
    return Client(sim.url, sim.api_key)
