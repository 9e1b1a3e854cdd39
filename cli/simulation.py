"""The simulator as a process beside us. All that is known of it here is how to start it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from select import select
from typing import TYPE_CHECKING, Final

from components.errors import FraguaError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_PDEATHSIG: Final = 1
"""Of prctl(2): which signal a process gets when its parent ends."""


def serve(*, port: int, scale: float, seed: int, data: Path) -> int:
    """Run the simulator until Ctrl-C and return its exit code."""
    arguments = ("--port", str(port), "--scale", str(scale), "--seed", str(seed), "--data", str(data))
    return subprocess.run([sys.executable, "-m", "simulator", *arguments], check=False).returncode


def start(
    root: Path, data: Path, *, scale: float, keep: bool
) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start a calm simulator and return its process and the variables that point a client at it.

    Without `keep` it ends with this process, whatever ends that.
    """
    data.mkdir(parents=True, exist_ok=True)
    prctl = ctypes.CDLL(None).prctl

    def tied() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    log = (data / "simulator.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--calm", "--scale", str(scale), "--data", str(data)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
        preexec_fn=None if keep else tied,  # noqa: PLW1509 - one system call is safe
    )
    (data / "pid").write_text(str(process.pid))
    settings = [process.stdout.readline() for _ in range(2)] if process.stdout else []
    if not all("=" in line for line in settings):
        raise FraguaError(f"the simulator did not start; see {log.name}")
    return process, dict(line.strip().split("=", 1) for line in settings)


def end(data: Path) -> bool:
    """End a simulator that was left running on `data`; return whether there was one.

    A process that has its number since, and is another, is left alone.
    """
    with suppress(FileNotFoundError, ProcessLookupError, ValueError), ExitStack() as ends:
        number = int((data / "pid").read_text())
        process = os.pidfd_open(number)
        ends.callback(os.close, process)
        if os.fsencode(data) in Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0"):
            signal.pidfd_send_signal(process, signal.SIGTERM)
            select([process], [], [])
            return True
    return False


@contextmanager
def running(root: Path, data: Path, *, scale: float, keep: bool) -> Iterator[dict[str, str]]:
    """Run a simulator for the time of the block, or leave it running with `keep`."""
    process, settings = start(root, data, scale=scale, keep=keep)
    try:
        yield settings
    finally:
        if not keep:
            process.terminate()
            process.wait(timeout=30)
            (data / "pid").unlink()
