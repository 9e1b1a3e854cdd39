"""The prompts that wait, the one that runs, and the history of those that ended. All in memory."""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Item = tuple[float, str, dict[str, Any], Any, list[str]]
"""Number, prompt ID, graph, extra data, output nodes."""

_REMEMBERED = 10_000


class PromptQueue:
    """Queue and history of one server.

    Attributes:
        changed: called at each change.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.changed: Callable[[], None] = lambda: None
        self._condition = threading.Condition(threading.RLock())
        self._pending: list[Item] = []
        self._running: dict[str, Item] = {}
        self._history: dict[str, dict[str, Any]] = {}
        self._flags: dict[str, bool] = {}

    def put(self, item: Item) -> None:
        """Add a prompt."""
        with self._condition:
            heapq.heappush(self._pending, item)
            self.changed()
            self._condition.notify()

    def get(self, timeout: float) -> Item | None:
        """Take the next prompt, and wait for one; None after `timeout` seconds or where a flag was set."""
        with self._condition:
            if not self._pending:
                self._condition.wait(timeout)
            if not self._pending:
                return None
            item = heapq.heappop(self._pending)
            self._running[item[1]] = item
            self.changed()
            return item

    def done(self, item: Item, entry: dict[str, Any]) -> None:
        """Move the prompt that ran to the history."""
        with self._condition:
            del self._running[item[1]]
            if len(self._history) >= _REMEMBERED:
                self._history.pop(next(iter(self._history)))
            self._history[item[1]] = entry
            self.changed()

    def current(self) -> tuple[list[Item], list[Item]]:
        """Return what runs, and what waits in the order of the heap."""
        with self._condition:
            return list(self._running.values()), list(self._pending)

    def remaining(self) -> int:
        """Return how many wait or run."""
        return len(self._pending) + len(self._running)

    def delete(self, chosen: Callable[[Item], bool]) -> None:
        """Take waiting prompts out."""
        with self._condition:
            kept = [item for item in self._pending if not chosen(item)]
            if len(kept) < len(self._pending):
                self._pending = kept
                heapq.heapify(self._pending)
                self.changed()

    def history(self) -> dict[str, dict[str, Any]]:
        """Return the entries, oldest first."""
        with self._condition:
            return dict(self._history)

    def forget(self, prompt_id: str | None = None) -> None:
        """Delete an entry of the history, or all."""
        with self._condition:
            if prompt_id is None:
                self._history.clear()
            else:
                self._history.pop(prompt_id, None)

    def set_flags(self, flags: dict[str, bool]) -> None:
        """Leave something for the worker to do when it is idle."""
        with self._condition:
            self._flags |= flags
            self._condition.notify()

    def take_flags(self) -> dict[str, bool]:
        """Return what was left, once."""
        with self._condition:
            flags, self._flags = self._flags, {}
            return flags
