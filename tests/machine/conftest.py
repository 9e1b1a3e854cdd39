"""Machines for the tests, once for each way to keep them apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rented_machine import LoopThread, Rented, Yard, new_key

from simulator.machine.sandbox import Isolation


@pytest.fixture(scope="session")
def customer_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "customer"
    new_key(path)
    return path


@pytest.fixture
def yard(tmp_path: Path, customer_key: Path) -> Iterator[Yard]:
    loop = LoopThread()
    yard = Yard(tmp_path, customer_key, loop)
    yield yard
    for machine in yard.rented:
        machine.destroy()
    loop.close()
    assert loop.errors == []


@pytest.fixture(params=list(Isolation), ids=lambda isolation: isolation.value.replace(" ", "-"))
def isolation(request: pytest.FixtureRequest) -> Isolation:
    if request.param is Isolation.NAMESPACES and os.geteuid() != 0:
        pytest.skip("namespaces without a user namespace are for root")
    return request.param


@pytest.fixture
def machine(yard: Yard, isolation: Isolation) -> Rented:
    """A running machine, once for each way to keep it apart."""
    return yard.rent(isolation=isolation)
