"""Two machines with sd-scripts, a base model and a dataset on them, and runs on them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rented import Cloud, request
from rented import Run as Acquiring
from trainings import Home, Node, job

from cli import scenes
from components.kohya import run, running, training
from components.kohya.plan import DATASET
from components.kohya.training import prepare
from components.remote.manifest import scan
from components.remote.transfer import send
from components.vast import keys, lifecycle, verify
from components.vast.release import release
from simulator.server import Simulator

IMAGES = 4


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    scenes.make(folder, IMAGES)
    return folder


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    with Simulator(scale=1000, seed=5, calm=True, rate_limits=0) as simulator:
        yield Cloud(simulator.url, simulator.api_key)


@pytest.fixture(scope="session")
def prepared(cloud: Cloud, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Two machines on which the plan's own jobs are done."""
    renting = Acquiring(cloud, request(2, disk=60))
    steps = job(dataset).plan
    keys.register(cloud.api(), renting.request.public_key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAGUA_HOME", str(tmp_path_factory.mktemp("memory")))
        for module in (lifecycle, verify):
            patch.setattr(module, "_POLL", 0.1)
        patch.setattr(training, "_POLL", 0.1)
        nodes = [Node(cloud, machine) for machine in renting.acquire()]
        for node in nodes:
            with node.shell() as shell:
                prepare(shell, steps.preparations, 120, lambda _: None)
                send(shell, dataset, scan(dataset), DATASET, lambda *_: None)
    yield nodes
    release(cloud.api(), [], renting.request.owner)


@pytest.fixture
def nodes(prepared: list[Node], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Node]]:
    """The two, without runs, healthy and fast."""
    monkeypatch.setattr(training, "_POLL", 0.02)
    for node in prepared:
        node.clear()
    yield prepared
    with ExitStack() as opened:
        for node in prepared:
            opened.enter_context(node.shell()).run("stopping all", "pkill -KILL -f sd-scripts; true")


@pytest.fixture
def node(nodes: list[Node]) -> Node:
    return nodes[0]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a person is told while a run goes on."""
    lines: list[str] = []
    for module in (run, running):
        monkeypatch.setattr(module, "say", lines.append)
    return lines


@pytest.fixture
def make_home(dataset: Path, tmp_path: Path, said: list[str]) -> Callable[..., Home]:
    """Make the place of a run on a computer."""

    def make(folder: str = "home", **changes: Any) -> Home:
        return Home(job(dataset, **changes).plan, tmp_path / folder, said)

    return make
