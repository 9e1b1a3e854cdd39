"""What is known of files on this computer: read once, and remembered until they change."""

from __future__ import annotations

import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from components.home import state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_T = TypeVar("_T")

_NAME: Final = "known-1.sqlite"
"""In the state folder; another number is another table."""

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS known (subject TEXT, path BLOB, state TEXT, note TEXT, asked INTEGER, "
    "PRIMARY KEY (subject, path)) WITHOUT ROWID"
)
_SETTLED: Final = 2_000_000_000
"""Nanoseconds; no clock of a file system has longer ticks."""

_DAY: Final = 24 * 3600 * 1_000_000_000
"""Nanoseconds."""

_KEPT: Final = 60
"""Days for which a file that nobody asks for is remembered."""

_PATIENCE: Final = 1.0
"""Seconds to wait for another process that writes."""

_MOST_THREADS: Final = 16


class _State(NamedTuple):
    """What changes with a file; `changed`, unlike `modified`, cannot be set back. Times in nanoseconds."""

    size: int
    modified: int
    changed: int
    inode: int


@dataclass(frozen=True)
class Known(Generic[_T]):
    """What files say of one subject, such as their hash, without reading again what did not change.

    A file is the same as long as its path, size, inode, and the times of its last modification and change
    are. One that changed within the last two seconds is not remembered: it may change again within one tick
    of its clock. A memory that is damaged, locked or cannot be written only costs time.

    This serves plans. What proves that bytes are whole, sent or home, reads the bytes: a disk may lose some
    without a trace in any of these.

    Attributes:
        subject: names it, and the version of the rules by which it is read; any other is not known.
        read: what the file says, in several threads; what it raises is not remembered.
        note: that as text; empty where it is not to be remembered.
        told: that out of a path and its note.
    """

    subject: str
    read: Callable[[Path], _T]
    note: Callable[[_T], str]
    told: Callable[[Path, str], _T]

    def of(self, paths: Sequence[Path]) -> list[_T]:
        """Return what each file says.

        Raises:
            Exception: whatever `read` raises; what was read before is remembered.
        """
        now = time.time_ns()
        today = now // _DAY
        states = {path: _state(path) for path in paths}
        found, due = self._recall(states, today)
        unknown = [path for path in states if path not in found]
        try:
            with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as threads:
                for path, what in zip(unknown, threads.map(self.read, unknown), strict=True):
                    found[path] = what
                    state = states[path]
                    if state and max(state.modified, state.changed) < now - _SETTLED:
                        due.append(path)
        finally:
            self._keep({path: (states[path], self.note(found[path])) for path in due}, today)
        return [found[path] for path in paths]

    def _recall(self, states: dict[Path, _State | None], today: int) -> tuple[dict[Path, _T], list[Path]]:
        """Return what is remembered, and of which files it was not asked for today yet."""
        found: dict[Path, _T] = {}
        due: list[Path] = []
        with _forgiving(), closing(_open("rw")) as memory:
            memory.execute("BEGIN")  # one lock for all
            for path, state in states.items():
                row = memory.execute(
                    "SELECT note, asked FROM known WHERE subject = ? AND path = ? AND state = ?",
                    (self.subject, _key(path), repr(state)),
                ).fetchone()
                with suppress(LookupError, TypeError, ValueError):  # a note that nobody wrote
                    if row:
                        found[path] = self.told(path, row[0])
                        if row[1] != today:
                            due.append(path)
        return found, due

    def _keep(self, notes: dict[Path, tuple[_State | None, str]], today: int) -> None:
        rows = [
            (self.subject, _key(path), repr(state), note, today)
            for path, (state, note) in notes.items()
            if note
        ]
        if not rows:
            return
        with _forgiving(), closing(_open("rwc")) as memory, memory:
            memory.execute(_TABLE)
            memory.executemany("REPLACE INTO known VALUES (?, ?, ?, ?, ?)", rows)
            memory.execute("DELETE FROM known WHERE asked < ?", (today - _KEPT,))


def forget(path: Path) -> None:
    """Forget what is known of a file, or of all files in a folder: it was found to be wrong."""
    key = _key(path)
    with _forgiving(), closing(_open("rw")) as memory, memory:
        memory.execute(
            "DELETE FROM known WHERE path = ? OR path > ? AND path < ?", (key, key + b"/", key + b"0")
        )


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _State(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _key(path: Path) -> bytes:
    """Return the path in bytes, which need not be UTF-8; links in it stay, since their ends have a state."""
    return os.fsencode(path.absolute())


def _file() -> Path:
    return state_folder().absolute() / _NAME


def _open(mode: str) -> sqlite3.Connection:
    file = _file()
    if mode == "rwc":
        file.parent.mkdir(parents=True, exist_ok=True)
    return sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE)


@contextmanager
def _forgiving() -> Iterator[None]:
    """Go on where the memory is not there, locked, full or not to be written; remove a damaged one."""
    try:
        yield
    except (OSError, sqlite3.OperationalError):
        pass
    except sqlite3.DatabaseError:
        for file in (_file(), _file().with_name(f"{_NAME}-journal")):
            with suppress(OSError):
                file.unlink()
