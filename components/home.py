"""Where fragua remembers what it must not forget between runs."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """Return the folder of what fragua remembers between runs: FRAGUA_HOME, or `.fragua` in the project."""
    return Path(os.environ.get("FRAGUA_HOME") or ".fragua")
