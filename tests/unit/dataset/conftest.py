"""A machine's workspace for the jobs that fetch datasets."""

from __future__ import annotations

from pathlib import Path

import pytest
from node_workspace import Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "workspace")
