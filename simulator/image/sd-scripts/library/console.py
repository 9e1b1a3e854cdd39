"""What the trainer says: log records, printed lines, and the exceptions that end it.

The words are in texts.json. Where a record goes is the command line's choice.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from programs.rich_log import RichLog

if TYPE_CHECKING:
    import argparse

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Failure(Exception):
    """An exception of the real trainer, by name; the text is what it says after the colon."""

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(text)
        self.kind = kind

    def last_line(self) -> str:
        """Return the line that ends the traceback."""
        return f"{self.kind}: {self}" if str(self) else self.kind


class _Logger:
    """Where records go: rich on stderr until the arguments are known, then as they say."""

    def __init__(self) -> None:
        self._least = _LEVELS.index("INFO")
        self._plain: TextIO | None = None
        self._rich = RichLog(2)
        if importlib.util.find_spec("rich") is None:
            self._plain = sys.stdout
            self._plain.write("rich is not installed, using basic logging\n")

    def set_up(self, args: argparse.Namespace) -> None:
        self._least = _LEVELS.index(args.console_log_level or "INFO")
        if args.console_log_file:
            path = Path(args.console_log_file)
            self._plain = path.open("w", encoding="utf-8")
        elif args.console_log_simple:
            self._plain = sys.stdout

    def write(self, level: str, text: str, source: str) -> None:
        if _LEVELS.index(level) < self._least:
            return
        if self._plain is None:
            sys.stderr.write(self._rich.render(level, text, source) + "\n")
            sys.stderr.flush()
        else:
            self._plain.write(text + "\n")
            self._plain.flush()


@cache
def _texts() -> dict[str, Any]:
    texts: dict[str, Any] = json.loads((Path(__file__).parent / "texts.json").read_text(encoding="utf-8"))
    return texts


@cache
def _logger() -> _Logger:
    return _Logger()


def set_up_logging(args: argparse.Namespace) -> None:
    """Send records where the arguments want them, from now on."""
    _logger().set_up(args)


def log(key: str, **values: object) -> None:
    """Write the record of that name."""
    level, source, text = _texts()["logs"][key]
    _logger().write(level, text.format(**values), source.format(**values))


def echo(text: str) -> None:
    """Print a line to stdout, which Python buffers unless it is told otherwise."""
    sys.stdout.write(text + "\n")


def echo_text(key: str, **values: object) -> None:
    """Print the line of that name to stdout."""
    echo(_texts()["prints"][key].format(**values))


def refuse(key: str, **values: object) -> NoReturn:
    """End the training with the exception of that name.

    Raises:
        Failure: always.
    """
    kind, text = _texts()["refusals"][key]
    raise Failure(kind, text.format(**values))


def traceback(last_line: str) -> None:
    """Write what Python writes for an exception that nobody caught."""
    sys.stdout.flush()
    script = Path(sys.argv[0]).absolute()
    line, call = (234, "trainer.train(args)") if "network" in script.name else (952, "train(args)")
    sys.stderr.write(
        f'Traceback (most recent call last):\n  File "{script}", line {line}, in <module>\n    {call}\n'
        f"{last_line}\n"
    )
    sys.stderr.flush()
