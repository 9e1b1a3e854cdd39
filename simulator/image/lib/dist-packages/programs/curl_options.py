"""curl's command line: which options take a value, and what is said of one that does not exist."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from programs.console import fail, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT_FLAGS = {
    "L": "location", "f": "fail", "s": "silent", "S": "show-error", "O": "remote-name", "I": "head",
    "k": "insecure", "#": "progress-bar", "J": "remote-header-name", "v": "verbose", "i": "include",
    "N": "no-buffer", "g": "globoff", "4": "ipv4", "6": "ipv6", "q": "disable", "R": "remote-time",
    "n": "netrc", "G": "get", "V": "version",
}  # fmt: skip
_SHORT_VALUES = {
    "o": "output", "C": "continue-at", "H": "header", "w": "write-out", "m": "max-time", "X": "request",
    "d": "data", "A": "user-agent", "e": "referer", "u": "user", "b": "cookie", "c": "cookie-jar",
    "r": "range", "x": "proxy", "K": "config", "T": "upload-file", "F": "form", "y": "speed-time",
    "Y": "speed-limit", "D": "dump-header",
}  # fmt: skip
_VALUES = {
    *_SHORT_VALUES.values(), "retry", "retry-delay", "retry-max-time", "connect-timeout", "output-dir",
    "limit-rate", "max-redirs", "url", "cacert", "proto", "proto-redir", "stderr", "data-binary",
    "data-raw", "resolve", "max-filesize",
}  # fmt: skip
_FLAGS = {
    *_SHORT_FLAGS.values(), "compressed", "create-dirs", "fail-with-body", "retry-all-errors",
    "retry-connrefused", "no-progress-meter", "http1.1", "http2", "tlsv1.2", "tlsv1.3", "remove-on-error",
    "skip-existing", "help",
}  # fmt: skip


class Options:
    """A parsed command line.

    Attributes:
        flags: options without a value, by their long name.
        values: the last value of each option that takes one.
        headers: each `-H`, those of files too.
        urls: what to transfer.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.flags: set[str] = set()
        self.values: dict[str, str] = {}
        self.headers: list[str] = []
        self.urls: list[str] = []
        items = iter(arguments)
        for item in items:
            if item.startswith("--"):
                self._long(item[2:], items)
            elif item.startswith("-") and len(item) > 1:
                self._short(item[1:], items)
            else:
                self.urls.append(item)

    @property
    def silent(self) -> bool:
        """Whether the meter is off."""
        return bool({"silent", "no-progress-meter"} & self.flags)

    @property
    def tells_errors(self) -> bool:
        """Whether a failure is explained."""
        return "silent" not in self.flags or "show-error" in self.flags

    def _long(self, name: str, items: Iterator[str]) -> None:
        if name in _VALUES:
            self._value(name, next(items, ""))
        elif name in _FLAGS:
            self.flags.add(name)
        elif name.removeprefix("no-") in _FLAGS:
            self.flags.discard(name.removeprefix("no-"))
        else:
            _unknown(f"--{name}")

    def _short(self, letters: str, items: Iterator[str]) -> None:
        for index, letter in enumerate(letters):
            if letter in _SHORT_VALUES:
                self._value(_SHORT_VALUES[letter], letters[index + 1 :] or next(items, ""))
                return
            if letter not in _SHORT_FLAGS:
                _unknown(f"-{letter}")
            self.flags.add(_SHORT_FLAGS[letter])

    def _value(self, name: str, value: str) -> None:
        if name == "header" and value.startswith("@"):
            self.headers += _lines(value[1:])
        elif name == "header":
            self.headers.append(value)
        elif name == "url":
            self.urls.append(value)
        else:
            self.values[name] = value


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        warn(f"Warning: Failed to open {file}")
        return []


def _unknown(option: str) -> None:
    fail(
        f"curl: option {option}: is unknown\ncurl: try 'curl --help' or 'curl --manual' for more information",
        2,
    )
