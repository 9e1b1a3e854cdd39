"""One simulator for each module that sets no pace, and a client that keeps none."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from planned import Stack, State
from rented import Cloud, Run, request

from components.vast import client, keys, lifecycle, release, verify
from simulator.server import Simulator


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Simulator(scale=1000, seed=5, calm=True, rate_limits=0) as simulator:
        found = Cloud(simulator.url, simulator.api_key)
        found.ask("POST", "credit", add=100000)
        yield found


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client, "SPACING", dict.fromkeys(client.SPACING, 0.0))
    monkeypatch.setattr(client, "_MARGIN", 0.0)
    monkeypatch.setattr(client, "_PENALTY", 0.01)
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.01)
    for module in (lifecycle, verify):
        monkeypatch.setattr(module, "_POLL", 0.1)
    monkeypatch.setattr(release, "_POLL", 0.02)
    monkeypatch.setattr(lifecycle, "_PORTS_LAG", 2.0)
    monkeypatch.setenv("FRAGUA_HOME", str(tmp_path / "memory"))


@pytest.fixture
def stack(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[Stack]:
    monkeypatch.setenv("VAST_URL", cloud.url)
    monkeypatch.setenv("VAST_API_KEY", cloud.api_key)
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    loop = asyncio.new_event_loop()  # Pulumi asks for the thread's, and asyncio.run of another test took it
    asyncio.set_event_loop(loop)
    yield Stack(State(), cloud, caplog)
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def start(cloud: Cloud) -> Iterator[Callable[..., Run]]:
    """Prepare acquisitions; whatever is left of them is destroyed, and ordered faults are cancelled."""
    runs: list[Run] = []

    def prepare(count: int = 1, **asked: Any) -> Run:
        run = Run(cloud, request(count, **asked))
        keys.register(cloud.api(), run.request.public_key)
        runs.append(run)
        return run

    yield prepare
    cloud.ask("DELETE", "fault")
    for run in runs:
        release.release(cloud.api(), [], run.request.owner)
        assert run.billing == []
