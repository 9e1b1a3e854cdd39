"""The virtual clock: one timeline for the market, the ledger and the machines.

Virtual seconds pass `scale` times as fast as real ones, so that an hour of rented GPU can be
rehearsed in a minute. Rate limits are the one thing that does not use it: they protect a server
from a client's real request rate.
"""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Virtual time that runs `scale` times as fast as real time.

    Attributes:
        scale: virtual seconds per real second.
    """

    def __init__(self, scale: float = 1.0, start: float | None = None) -> None:
        """Start at `start` (epoch seconds; now by default)."""
        self.scale = scale
        self._virtual = time.time() if start is None else start
        self._real = time.monotonic()

    def now(self) -> float:
        """Return the virtual time in epoch seconds."""
        return self._virtual + (time.monotonic() - self._real) * self.scale

    def advance(self, seconds: float) -> None:
        """Jump ahead by `seconds` of virtual time."""
        self._virtual += seconds

    def set_scale(self, scale: float) -> None:
        """Change the speed without a jump in time."""
        self._virtual, self._real = self.now(), time.monotonic()
        self.scale = scale

    async def sleep(self, seconds: float) -> None:
        """Sleep until `seconds` of virtual time have passed, jumps and changes of speed included."""
        end = self.now() + seconds
        while (left := end - self.now()) > 0:  # noqa: ASYNC110 - the clock may jump or change speed
            await asyncio.sleep(min(left / self.scale, 0.2))
