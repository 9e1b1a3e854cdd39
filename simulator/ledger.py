"""The ledger: every charge as a segment of time or of traffic, exact to the virtual second.

Money is integer nano-dollars. A segment is opened when something starts to cost and closed when it
stops or changes its rate; nobody looking at the balance makes or splits a segment. It knows
contracts only by number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.store import Store

NANO = 1_000_000_000
HOUR = 3600
GB = 1_000_000_000
TIMED = ("gpu", "disk", "volume")
TRAFFIC = ("bwd", "bwu")


@dataclass
class Segment:
    """A charge: `rate` nano-dollars per hour from `start`, or per GB for traffic.

    Attributes:
        quantity: bytes of traffic so far; seconds are computed.
        stop: when it was closed, in virtual seconds; None while open.
    """

    id: int
    contract: int
    kind: str
    start: int
    rate: int
    quantity: int = 0
    stop: int | None = None

    def seconds(self, at: int) -> int:
        """Return its length up to `at`."""
        return max(0, (at if self.stop is None else self.stop) - self.start)

    def amount(self, at: int) -> int:
        """Return nano-dollars up to `at`, rounded half up once per segment."""
        if self.kind in TRAFFIC:
            return (2 * self.rate * self.quantity + GB) // (2 * GB)
        return (2 * self.rate * self.seconds(at) + HOUR) // (2 * HOUR)


class Ledger:
    """All segments of the account, and its deposits."""

    def __init__(self, store: Store) -> None:
        """Read what the store has."""
        self._db = store.db
        self._open: dict[tuple[int, str], Segment] = {}
        self._known: tuple[int, int] | None = None  # second and what was spent by then
        for row in self._db.execute(
            "SELECT id, contract, kind, start, rate, quantity FROM ledger WHERE open = 1"
        ):
            segment = Segment(*row)
            self._open[segment.contract, segment.kind] = segment
        one = self._db.execute
        self._closed = int(one("SELECT coalesce(sum(amount), 0) FROM ledger WHERE open = 0").fetchone()[0])
        self._deposits = int(one("SELECT coalesce(sum(amount), 0) FROM credit").fetchone()[0])

    def deposit(self, at: float, amount: int, note: str) -> None:
        """Add `amount` nano-dollars of credit (negative takes some away)."""
        self._db.execute(
            "INSERT INTO credit (at, amount, note) VALUES (?, ?, ?)", (math.floor(at), amount, note)
        )
        self._deposits += amount

    def open(self, contract: int, kind: str, at: float, rate: int) -> None:
        """Start charging; an open segment of the same rate goes on, another is closed first."""
        current = self._open.get((contract, kind))
        if current is not None:
            if current.rate == rate:
                return
            self.close(contract, kind, at)
        self._known = None
        start = math.floor(at)
        cursor = self._db.execute(
            "INSERT INTO ledger (contract, kind, start, stop, rate, quantity, amount, open)"
            " VALUES (?, ?, ?, ?, ?, 0, 0, 1)",
            (contract, kind, start, start, rate),
        )
        self._open[contract, kind] = Segment(cursor.lastrowid or 0, contract, kind, start, rate)

    def close(self, contract: int, kind: str, at: float) -> None:
        """Stop charging; without an open segment nothing happens."""
        segment = self._open.pop((contract, kind), None)
        if segment is None:
            return
        self._known = None
        segment.stop = math.floor(at)
        self._write(segment, segment.stop, still_open=False)
        self._closed += segment.amount(segment.stop)

    def is_open(self, contract: int, kind: str) -> bool:
        """Return whether something is charging."""
        return (contract, kind) in self._open

    def count(self, contract: int, kind: str, at: float, rate: int, size: int) -> None:
        """Add `size` bytes of traffic at `rate` nano-dollars per GB."""
        if size:
            self.open(contract, kind, at, rate)
            self._open[contract, kind].quantity += size
            self._known = None

    def checkpoint(self, at: float) -> None:
        """Write down how far the open segments have come, so that a kill loses nothing."""
        for segment in self._open.values():
            self._write(segment, math.floor(at), still_open=True)

    def spent(self, at: float) -> int:
        """Return nano-dollars spent up to `at`."""
        now = math.floor(at)
        if self._known is None or self._known[0] != now:
            running = sum(segment.amount(now) for segment in self._open.values())
            self._known = now, self._closed + running
        return self._known[1]

    def credit(self, at: float) -> int:
        """Return nano-dollars left at `at`; may be negative."""
        return self._deposits - self.spent(at)

    def exhausted_at(self, at: float) -> float:
        """Return when the credit will be used up if nothing changes; infinity for never."""
        burn = sum(segment.rate for segment in self._open.values() if segment.kind in TIMED)
        credit = self.credit(at)
        if credit <= 0:
            return at
        return math.floor(at) + -(-credit * HOUR // burn) if burn else math.inf

    def segments(self, at: float) -> list[dict[str, Any]]:
        """Return all segments as of `at`, oldest first; amounts in nano-dollars."""
        self.checkpoint(at)
        names = ("contract", "kind", "start", "stop", "rate", "quantity", "amount", "open")
        rows = self._db.execute(f"SELECT {', '.join(names)} FROM ledger ORDER BY start, id")  # noqa: S608 - names from above
        return [dict(zip(names, row, strict=True)) for row in rows]

    def deposits(self) -> list[dict[str, Any]]:
        """Return the credit movements, oldest first; amounts in nano-dollars."""
        rows = self._db.execute("SELECT id, at, amount, note FROM credit ORDER BY id")
        return [dict(zip(("id", "at", "amount", "note"), row, strict=True)) for row in rows]

    def _write(self, segment: Segment, at: int, *, still_open: bool) -> None:
        quantity = segment.quantity if segment.kind in TRAFFIC else segment.seconds(at)
        self._db.execute(
            "UPDATE ledger SET stop = ?, quantity = ?, amount = ?, open = ? WHERE id = ?",
            (max(at, segment.start), quantity, segment.amount(at), still_open, segment.id),
        )


def nano(dollars: float) -> int:
    """Return dollars as nano-dollars."""
    return round(dollars * NANO)
