"""Log lines as rich's RichHandler sets them: time, level, message folded to the width, source at the right.

Colours are left out, as rich leaves them out where the output is no terminal.
"""

from __future__ import annotations

import itertools
import os
import re
import time
import unicodedata


class RichLog:
    """Lays out records for one console; remembers the last time, which is not repeated."""

    def __init__(self, descriptor: int) -> None:
        """Take the width of the console that `descriptor` leads to."""
        self._width = _console_width(descriptor)
        self._last_time = ""

    def render(self, level: str, message: str, source: str, time_format: str = "[%x %X]") -> str:
        """Return the lines of one record; `source` is `file.py:line`."""
        now = time.strftime(time_format)
        shown = " " * len(now) if now == self._last_time else now
        self._last_time = now
        width = self._width - len(now) - 1 - 9 - 1 - len(source)
        lines = [piece for line in message.split("\n") for piece in fold(line, width)] or [""]
        rows = []
        for index, line in enumerate(lines):
            left = f"{shown} {level:<8} " if index == 0 else " " * (len(now) + 10)
            right = source if index == 0 else " " * len(source)
            rows.append(f"{left}{line}{' ' * (width - cells(line))} {right}")
        return "\n".join(rows)


def cells(text: str) -> int:
    """Return how many columns a text takes: two for a wide character."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def fold(text: str, width: int) -> list[str]:
    """Break a line between words, and within a word that is wider than the column."""
    breaks: list[int] = []
    offset = 0
    for match in re.finditer(r"\s*\S+\s*", text):
        start, word = match.start(), match.group()
        length = cells(word.rstrip())
        if width - offset >= length:
            offset += cells(word)
        elif length > width:
            pieces = _chop(word, width)
            for piece in pieces:
                if start:
                    breaks.append(start)
                start += len(piece)
            offset = cells(pieces[-1])
        elif offset and start:
            breaks.append(start)
            offset = cells(word)
    edges = [0, *breaks, len(text)]
    return [text[left:right].rstrip() for left, right in itertools.pairwise(edges)]


def _chop(word: str, width: int) -> list[str]:
    pieces, used = [""], 0
    for char in word:
        if used + _cells(char) > width:
            pieces.append("")
            used = 0
        pieces[-1] += char
        used += _cells(char)
    return pieces


def _cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _console_width(descriptor: int) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return int(columns)
    try:
        return os.get_terminal_size(descriptor).columns
    except OSError:
        return 80
