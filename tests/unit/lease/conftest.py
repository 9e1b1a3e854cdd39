"""A machine with the real watchdog, on an uptime that only the test moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lease_machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path)
    yield found
    found.kill()
