"""The lines a person sees while the toolchain is being set up. All go to stderr."""

from __future__ import annotations

import sys
import time


def say(line: str) -> None:
    """Print one line."""
    print(f"fragua: {line}", file=sys.stderr, flush=True)


class Progress:
    """One line that is redrawn on a terminal, and repeated every 30 s anywhere else."""

    _PERIOD_S = 30.0

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = time.monotonic() + (0 if self._terminal else self._PERIOD_S)

    def show(self, line: str) -> None:
        """Say how far the work is. Cheap enough to be called at every step."""
        now = time.monotonic()
        if now < self._next:
            return
        if self._terminal:
            self._next = now + 0.2
            print(f"\r\033[Kfragua: {line}", end="", file=sys.stderr, flush=True)
        else:
            self._next = now + self._PERIOD_S
            say(line)

    def close(self) -> None:
        """Clear the line, so that what follows begins on an empty one."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds as a person says them: "45 s", "4 min", "4 min 5 s"."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
