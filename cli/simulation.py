"""The simulator as a process beside us. All that is known of it here is how to start it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from components.errors import FraguaError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def serve(*, port: int, scale: float, seed: int, data: Path) -> int:
    """Run the simulator until Ctrl-C and return its exit code."""
    arguments = ("--port", str(port), "--scale", str(scale), "--seed", str(seed), "--data", str(data))
    return subprocess.run([sys.executable, "-m", "simulator", *arguments], check=False).returncode


def start(root: Path, data: Path, *, scale: float) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start a calm simulator and return its process and the variables that point a client at it."""
    data.mkdir(parents=True, exist_ok=True)
    log = (data / "simulator.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--calm", "--scale", str(scale), "--data", str(data)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    settings = [process.stdout.readline() for _ in range(2)] if process.stdout else []
    if not all("=" in line for line in settings):
        raise FraguaError(f"the simulator did not start; see {log.name}")
    return process, dict(line.strip().split("=", 1) for line in settings)


@contextmanager
def running(root: Path, data: Path, *, scale: float, keep: bool) -> Iterator[dict[str, str]]:
    """Run a simulator for the time of the block, or leave it running with `keep`."""
    process, settings = start(root, data, scale=scale)
    try:
        yield settings
    finally:
        if not keep:
            process.terminate()
            process.wait(timeout=30)
