"""Why a training failed, read from its log: real message, cause, what to do. Pure.

The table is `data/diagnosis.json`. What a row `says` is matched loosely, since messages vary by version:
anywhere in a line, in any case of ASCII letters; `…` stands for anything, a line break for the line's begin
or end. Its kind:

    error  ended the training, and names its own cause
    ruin   did not end it, but nothing good comes of it any more
    blunt  ended it, but may be the consequence of something else
    flaw   did not end it, but its result is not what was asked for

An error that training went on after was none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from components.kohya.options import data

_KINDS: Final = ("error", "ruin", "blunt", "flaw")
_LASTING: Final = ("ruin", "flaw")
_BAR: Final = re.compile(rb"\s+\d+%\|[^|\n]*\|\s*(\d+)/")
_MESSAGE_BYTES: Final = 500
_ENDING_LINES: Final = 20
_ENDING_BYTES: Final = 3000


@dataclass(frozen=True)
class Diagnosis:
    """One thing that went wrong.

    Attributes:
        name: stable, for programs.
        message: the line of the log, or the exit code, that tells it.
        cause: what it means.
        remedy: what to do.
        automatic: what fragua may do by itself, or empty: `smaller-memory-plan` (train again with the next
            smaller one), `another-machine` (take the next offer), `stop` (end the training), `retry`.
    """

    name: str
    message: str
    cause: str
    remedy: str
    automatic: str = ""

    def __str__(self) -> str:
        """Say it in three lines."""
        return f"{self.cause}\n  said: {self.message}\n  do: {self.remedy}"


@dataclass(frozen=True)
class _Row:
    name: str
    kind: str
    says: tuple[tuple[bytes, ...], ...]
    exit_codes: tuple[int, ...]
    words: dict[str, str]


@cache
def _rows() -> tuple[_Row, ...]:
    return tuple(_row(each) for each in data("diagnosis.json")["rows"])


def _row(entry: dict[str, Any]) -> _Row:
    words = {key: entry.get(key, "") for key in ("cause", "remedy", "automatic")}
    says = tuple(tuple(says.lower().encode().split("…".encode())) for says in entry.get("says", ()))
    return _Row(entry["name"], entry["kind"], says, tuple(entry.get("exit_codes", ())), words)


def diagnose(log: str, exit_code: int | None = None) -> list[Diagnosis]:
    """Return what went wrong, the most telling first: the last error, then what may follow from it.

    Args:
        log: of a training or of its preparation, or the end of one; bars with carriage returns are fine.
        exit_code: of its process, negative or above 128 for a signal; None while unknown.
    """
    text = _Text(log)
    found: list[tuple[int, int, Diagnosis]] = []
    for row in _rows():
        lasting = row.kind in _LASTING
        at = text.first(row.says) if lasting else text.last(row.says)
        if at >= 0 and (lasting or not text.went_on(at, exit_code)):
            rank, message = _KINDS.index(row.kind), text.line(at)
        elif exit_code in row.exit_codes and (exit_code or not text.finished):
            rank, message = _KINDS.index("blunt"), f"exit code {exit_code}"
        else:
            continue
        found.append((rank, -at, Diagnosis(row.name, message, **row.words)))
    told: dict[str, Diagnosis] = {}
    for *_, diagnosis in sorted(found, key=lambda each: each[:2]):
        told.setdefault(diagnosis.message, diagnosis)
    return list(told.values())


def explained(log_tail: str, exit_code: int | None) -> str:
    """Return the most telling diagnosis, if there is one, and how the log ends."""
    known = "".join(f"{diagnosis}\n" for diagnosis in diagnose(log_tail, exit_code)[:1])
    return f"{known}Its log ends:\n{ending(log_tail)}"


def ending(log: str) -> str:
    """Return the last lines of a log as a terminal would show them, at most 20 and about 3000 letters."""
    lines = [line.rpartition("\r")[2] for line in log[-65536:].replace("\r\n", "\n").rstrip().split("\n")]
    return "\n".join(line.rstrip() for line in lines[-_ENDING_LINES:])[-_ENDING_BYTES:]


class _Text:
    """A log as bytes, which are fast to search, with a line break before and after each of its lines."""

    def __init__(self, log: str) -> None:
        self._text = b"\n" + log.encode("utf-8", "replace").replace(b"\r", b"\n") + b"\n"
        self._lower = self._text.lower()
        self._saved = self._lower.rfind(b"model saved.")
        self._bar = self._lower.rfind(b"\nsteps:")

    @property
    def finished(self) -> bool:
        """Whether sd-scripts said that it saved the model at its end."""
        return self._saved >= 0

    def first(self, messages: tuple[tuple[bytes, ...], ...]) -> int:
        """Return where the first line begins that holds one of `messages`, or -1."""
        found = [at for message in messages if (at := self._first(message)) >= 0]
        return min(found, default=-1)

    def last(self, messages: tuple[tuple[bytes, ...], ...]) -> int:
        """Return where the last line begins that holds one of `messages`, or -1."""
        return max((self._last(message) for message in messages), default=-1)

    def _first(self, message: tuple[bytes, ...]) -> int:
        end = 1
        while (at := self._lower.find(message[0], end - 1)) >= 0:
            begin = self._lower.rfind(b"\n", 0, at + 1) + 1
            if self._holds(message, begin):
                return begin
            end = self._lower.find(b"\n", begin) + 1
        return -1

    def _last(self, message: tuple[bytes, ...]) -> int:
        end = len(self._lower)
        while (at := self._lower.rfind(message[0], 0, end)) >= 0:
            begin = self._lower.rfind(b"\n", 0, at + 1) + 1
            if self._holds(message, begin):
                return begin
            end = begin
        return -1

    def _holds(self, message: tuple[bytes, ...], begin: int) -> bool:
        at, end = begin - 1, self._lower.find(b"\n", begin) + 1
        for part in message:
            at = self._lower.find(part, at, end)
            if at < 0:
                return False
        return True

    def line(self, begin: int) -> str:
        """Return the line that begins there."""
        end = min(self._text.find(b"\n", begin), begin + _MESSAGE_BYTES)
        return self._text[begin:end].decode("utf-8", "replace").strip()

    def went_on(self, begin: int, exit_code: int | None) -> bool:
        """Whether training went on after what the line there says.

        A bar may be drawn once more when Python ends, and other processes may end the step they are in.
        """
        if self._saved > begin or (exit_code == 0 and self.finished):
            return True
        return self._step(self._bar) > self._step(self._lower.find(b"\nsteps:", begin)) + 1 > 0

    def _step(self, at: int) -> int:
        bar = _BAR.match(self._text, at + len(b"\nsteps:"), at + _MESSAGE_BYTES) if at >= 0 else None
        return int(bar[1]) if bar else -1
