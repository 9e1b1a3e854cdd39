"""How far a transfer is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Tell = Callable[[int, int, float], None]
    """Gets bytes done, bytes in all, and bytes a second."""

_TELL_EVERY: Final = 0.5


class Progress:
    """Tells how far a transfer is, twice a second at most."""

    def __init__(self, total: int, tell: Tell) -> None:
        """Count up to `total` bytes."""
        self.done, self.total, self._tell = 0, total, tell
        self._start = self._told = time.monotonic()

    def add(self, count: int) -> None:
        """Count `count` more bytes."""
        self.done += count
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY or self.done == self.total:
            self._told = now
            self._tell(self.done, self.total, self.done / max(now - self._start, 1e-6))
