"""Where things of fragua are on this computer, and files that are always whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def state_folder() -> Path:
    """Return the folder of what fragua remembers between runs: FRAGUA_HOME, or `.fragua` in the project."""
    return Path(os.environ.get("FRAGUA_HOME") or ".fragua")


def output_folder() -> Path:
    """Return the folder of what comes home, by stack and run: FRAGUA_OUTPUT, or `output` in the project."""
    return Path(os.environ.get("FRAGUA_OUTPUT") or "output")


def replace(path: Path, text: str) -> None:
    """Write a file that is whole at every moment, and the folders that it lies in.

    Raises:
        OSError: it cannot be written. What was there before is as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise
