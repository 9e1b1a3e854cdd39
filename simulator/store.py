"""The simulator's memory: one SQLite file that survives a restart, and even a kill.

Knows tables, not rules. Documents (contracts, keys, templates) are stored whole as JSON; the ledger
has real columns, because people query it.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    kind TEXT NOT NULL, id INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY,
    contract INTEGER NOT NULL,   -- instance id, or volume id for kind 'volume'
    kind TEXT NOT NULL,          -- gpu, disk, bwd, bwu, volume
    start INTEGER NOT NULL,      -- virtual epoch seconds
    stop INTEGER NOT NULL,       -- grows while the segment is open
    rate INTEGER NOT NULL,       -- nano-dollars per hour, or per GB for bwd and bwu
    quantity INTEGER NOT NULL,   -- seconds, or bytes for bwd and bwu
    amount INTEGER NOT NULL,     -- nano-dollars
    open INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS credit (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, amount INTEGER NOT NULL, note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS status (
    contract INTEGER NOT NULL, status TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS status_contract ON status (contract);
"""


class WorldInUseError(Exception):
    """Another simulator has the folder."""


class Store:
    """One SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path`.

        Raises:
            WorldInUseError: another simulator has it open.
        """
        self._lock = path.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = f"{path.parent} belongs to a simulator that is running: stop it or take another folder"
            raise WorldInUseError(text) from None
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")
        self.db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self.db.close()
        self._lock.close()

    def setting(self, name: str, default: Any = None) -> Any:
        """Return a stored value."""
        row = self.db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set_setting(self, name: str, value: Any) -> None:
        """Store a value that JSON can hold."""
        self.db.execute("REPLACE INTO setting VALUES (?, ?)", (name, json.dumps(value)))

    def save(self, kind: str, number: int, body: dict[str, Any]) -> None:
        """Store a document."""
        self.db.execute("REPLACE INTO document VALUES (?, ?, ?)", (kind, number, json.dumps(body)))

    def delete(self, kind: str, number: int) -> None:
        """Forget a document."""
        self.db.execute("DELETE FROM document WHERE kind = ? AND id = ?", (kind, number))

    def load(self, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the documents of a kind by id."""
        for number, body in self.db.execute(
            "SELECT id, body FROM document WHERE kind = ? ORDER BY id", (kind,)
        ):
            yield number, json.loads(body)

    def next_id(self, kind: str, first: int) -> int:
        """Return an id that no document of this kind has ever had."""
        number = int(self.setting(f"next {kind}", first))
        self.set_setting(f"next {kind}", number + 1)
        return number
