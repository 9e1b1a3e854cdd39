"""Faults of the API on order: which calls go wrong, and how. Knows requests, not the world."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from simulator.errors import invalid_args

EFFECTS = ("respond", "delay", "drop_before", "drop_after", "malformed")


@dataclass
class Fault:
    """One order.

    Attributes:
        effect: `respond` with status and body instead of the real answer; `delay` the call by
            seconds of real time; drop the connection `drop_before` or `drop_after` the call had
            its effect; answer with a `malformed` body.
        method: the HTTP method; None for any.
        path: a regular expression that is searched in the path.
        nth: the first matching call that it strikes, counted from 1.
        count: how many calls it strikes from there; None for all.
        seen: matching calls so far.
        struck: calls that it has struck.
    """

    effect: str
    path: re.Pattern[str]
    method: str | None = None
    nth: int = 1
    count: int | None = 1
    status: int = 500
    body: Any = None
    seconds: float = 0.0
    seen: int = 0
    struck: int = 0


class Faults:
    """The orders in force."""

    def __init__(self) -> None:
        """Start without any."""
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put an order in force."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Cancel every order."""
        self._faults.clear()

    def every(self) -> list[dict[str, Any]]:
        """Return the orders as JSON."""
        return [{**vars(fault), "path": fault.path.pattern} for fault in self._faults]

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the fault that this call suffers; the first order that strikes wins."""
        hit = None
        for fault in self._faults:
            if fault.method not in (None, method) or not fault.path.search(path):
                continue
            fault.seen += 1
            last = None if fault.count is None else fault.nth + fault.count
            if hit is None and fault.seen >= fault.nth and (last is None or fault.seen < last):
                fault.struck += 1
                hit = fault
        return hit


def read_fault(body: dict[str, Any]) -> Fault:
    """Understand an order.

    Raises:
        APIError: 400 `invalid_args`, naming what is wrong.
    """
    unknown = set(body) - {"effect", "path", "method", "nth", "count", "status", "body", "seconds"}
    if unknown:
        raise invalid_args(f"unknown: {', '.join(sorted(unknown))}.")
    if body.get("effect") not in EFFECTS:
        raise invalid_args(f"effect: one of {', '.join(EFFECTS)}.")
    try:
        pattern = re.compile(body.get("path", ""))
    except re.error as error:
        raise invalid_args(f"path: not a regular expression: {error}.") from None
    return Fault(**{**body, "path": pattern})
