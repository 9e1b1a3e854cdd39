"""Vast's rate limits: a minimum interval between accepted calls of one kind by one identity.

Real time, not virtual: they guard a server against a client's real request rate.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """At most `calls` accepted calls in `seconds`.

    Attributes:
        penalty: seconds without any accepted call after a call that came too early.
        bucket: calls that share one limit name the same bucket; empty for a limit of its own.
    """

    seconds: float
    calls: int = 1
    penalty: float = 0.0
    bucket: str = ""


class RateLimited(Exception):
    """A call came too early.

    Attributes:
        threshold: the interval it broke, in seconds.
        plain: whether this refusal is worded as plain text; Vast sends both shapes.
    """

    def __init__(self, threshold: float, *, plain: bool) -> None:
        super().__init__(f"API requests too frequent: endpoint threshold={threshold:g}")
        self.threshold = threshold
        self.plain = plain


class RateLimiter:
    """Remembers the accepted calls."""

    def __init__(self, scale: float = 1.0) -> None:
        """Multiply every documented interval by `scale`; 0 turns the limits off."""
        self.scale = scale
        self._accepted: dict[tuple[str, str], deque[float]] = {}
        self._blocked: dict[tuple[str, str], float] = {}
        self._refusals = 0

    def check(self, name: str, identity: str, limit: Limit) -> None:
        """Accept a call or refuse it.

        Raises:
            RateLimited: it came too early.
        """
        if self.scale == 0:
            return
        slot = (limit.bucket or name, identity)
        now = time.monotonic()
        accepted = self._accepted.setdefault(slot, deque(maxlen=limit.calls))
        full = len(accepted) == limit.calls and now - accepted[0] < limit.seconds * self.scale
        blocked = now < self._blocked.get(slot, 0.0)
        if not full and not blocked:
            accepted.append(now)
            return
        if limit.penalty and not blocked:
            self._blocked[slot] = now + limit.penalty * self.scale
        self._refusals += 1
        raise RateLimited(limit.seconds, plain=self._refusals % 2 == 1)
