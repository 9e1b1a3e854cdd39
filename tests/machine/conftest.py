"""Machines for the tests, once for each way to keep them apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rented_machine import LoopThread, Rented, Yard, new_key

from simulator.machine.sandbox import Isolation

# An ordinary user gets namespaces only together with a user namespace.
POSSIBLE = list(Isolation) if os.geteuid() == 0 else [Isolation.USER_NAMESPACES, Isolation.NONE]


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


@pytest.fixture(params=POSSIBLE, ids=lambda isolation: isolation.value.replace(" ", "-"))
def isolation(request: pytest.FixtureRequest) -> Isolation:
    return request.param


@pytest.fixture(params=POSSIBLE[:-1], ids=lambda isolation: isolation.value.replace(" ", "-"))
def contained(request: pytest.FixtureRequest, yard: Yard) -> Rented:
    """A running machine in namespaces of its own."""
    return yard.rent(isolation=request.param)


@pytest.fixture
def machine(yard: Yard, isolation: Isolation) -> Rented:
    """A running machine, once for each way to keep it apart."""
    return yard.rent(isolation=isolation)
