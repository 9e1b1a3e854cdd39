"""The real engine, a simulator, and stacks of this program in folders of their own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_runs import Cloud, MakeStack, Stack

from cli import scenes
from cli.project import lay_out
from simulator.server import Simulator
from toolchain import bootstrap, cache, engine, versions
from toolchain.environment import engine_environment
from toolchain.plugin import ensure_command_plugin


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.timeout(240))


_LISTING = "-m pip list -v --format json"


@pytest.fixture(scope="session")
def python_by_heart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `python` that knows what pip lists: the engine asks that at every command, for a second each time.

    test_demo.py has the engine ask pip itself.
    """
    folder = tmp_path_factory.mktemp("python")
    listed = subprocess.run([sys.executable, *_LISTING.split()], capture_output=True, check=True).stdout
    (folder / "listed.json").write_bytes(listed)
    script = folder / "python"
    known = f"[ \"$*\" = '{_LISTING}' ] && exec cat '{folder}/listed.json'"
    script.write_text(f"#!/bin/sh\n{known}\nexec '{sys.executable}' \"$@\"\n")
    script.chmod(0o755)
    return script


@pytest.fixture(scope="session")
def engine_variables(python_by_heart: Path) -> dict[str, str]:
    pins = versions.load()
    found = engine.ensure(pins, cache.folder(), os.environ["PATH"])
    variables = {**os.environ, **engine_environment(bootstrap.ROOT, found)}
    ensure_command_plugin(found, pins.command, variables)
    return {
        **variables,
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_PYTHON_CMD": str(python_by_heart),
    }


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Simulator(scale=120, seed=11, calm=True, rate_limits=0) as simulator:
        yield Cloud(simulator.url, simulator.api_key)


@pytest.fixture(scope="module")
def make_stack(
    tmp_path_factory: pytest.TempPathFactory, engine_variables: dict[str, str], cloud: Cloud
) -> Iterator[MakeStack]:
    """Make stacks; what they leave is destroyed at the end, so that no machine outlives its test."""
    made: list[Stack] = []

    def make(
        name: str, job: str = "configs/machine.yaml", program: Path = bootstrap.ROOT, **config: Any
    ) -> Stack:
        folder = tmp_path_factory.mktemp(name)
        lay_out(program, folder / "project")
        (folder / "state").mkdir()
        environment = {
            **engine_variables,
            "VAST_URL": cloud.url,
            "VAST_API_KEY": cloud.api_key,
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "canary-passphrase",
            "FRAGUA_HOME": str(folder / "memory"),
            "FRAGUA_OUTPUT": str(folder / "output"),
        }
        stack = Stack(name, folder / "project", environment)
        made.append(stack)
        stack.pulumi("stack", "init", name)
        stack.configure(job=job, **config)
        return stack

    yield make
    for stack in made:
        for child in stack.children:
            if child.poll() is None:
                stack.kill(child)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    scenes.make(folder, 4)
    return folder


@pytest.fixture
def copied_program(tmp_path: Path) -> Path:
    """A copy of the program, to edit."""
    target = tmp_path / "copy"
    target.mkdir()
    for name in ("Pulumi.yaml", "__main__.py", "components", "configs"):
        source = bootstrap.ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target / name)
    (target / ".venv").symlink_to(bootstrap.ROOT / ".venv")
    return target


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Ask again until there is an answer, for half a minute."""

    def wait(question: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if answer := question():
                return answer
            time.sleep(0.05)
        raise AssertionError("no answer within 30 seconds")

    return wait
