"""The simulator as a process beside us. All that is known of it here is how to start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import FraguaError

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    (data / "pid").write_text(str(process.pid))
    settings = [process.stdout.readline() for _ in range(2)] if process.stdout else []
    if not all("=" in line for line in settings):
        raise FraguaError(f"the simulator did not start; see {log.name}")
    return process, dict(line.strip().split("=", 1) for line in settings)


def end(data: Path) -> bool:
    """End a simulator that was left running on `data`; return whether there was one."""
    try:
        pid = int((data / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        return False
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.1)
    return True


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
            (data / "pid").unlink()
