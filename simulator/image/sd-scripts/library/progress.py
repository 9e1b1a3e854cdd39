"""Progress bars as tqdm draws them on stderr: a carriage return before each, a newline at the end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, ClassVar, TypeVar

from hardware import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_T = TypeVar("_T")
_BLOCKS = " ▏▎▍▌▋▊▉█"
_OWN_INTERVAL = 0.1
_LOOK = 0.0005
_UP = "\x1b[A"


class Bar:
    """One bar. Its time is virtual, its rate the average since the start.

    A bar that opens under another is drawn that many lines further down, and the cursor moved up again.
    """

    _open: ClassVar[list[Bar]] = []

    def __init__(self, total: int, description: str = "", *, leave: bool = True) -> None:
        """Draw it empty.

        Args:
            total: how many there are to count.
            description: what stands before the bar.
            leave: keep the last drawing once it closes; else blank it.
        """
        self.total, self.description, self._leave = total, description, leave
        self.done = 0
        self._postfix = ""
        self._started = self._drawn = clock.now()
        self._interval = float(os.environ.get("TQDM_MININTERVAL", _OWN_INTERVAL))
        self._width = _columns()
        self._last_length = 0
        taken = {bar.line for bar in self._open}
        self.line: int = min(set(range(len(taken) + 1)) - taken)
        self._open.append(self)
        sys.stdout.flush()
        self._draw(self.line)

    @classmethod
    def close_all(cls) -> None:
        """Close the bars that a failure left open; Python does so when it ends."""
        for bar in list(cls._open):
            bar.close()

    def update(self) -> None:
        """Count one more; drawn unless the last drawing is too fresh."""
        self.done += 1
        if clock.now() - self._drawn >= self._interval:
            self._draw(self.line)
            self._drawn = clock.now()

    def set_postfix(self, values: Mapping[str, float]) -> None:
        """Put values behind the rate, and draw."""
        self._postfix = ", ".join(f"{key}={number(value)}" for key, value in values.items())
        self._draw(self.line)

    def unpause(self) -> None:
        """Leave out of the elapsed time what has passed since the last drawing."""
        self._started += clock.now() - self._drawn
        self._drawn = clock.now()

    def close(self) -> None:
        """Draw it a last time, on the line of the cursor, and leave that; or blank its own line."""
        self._open.remove(self)
        if self._leave:
            self._draw(0)
            sys.stderr.write("\n")
        else:
            self._show("", self.line)
            sys.stderr.write("" if self.line else "\r")
        sys.stderr.flush()

    def _draw(self, line: int) -> None:
        elapsed = clock.now() - self._started
        self._show(meter(self.done, self.total, elapsed, self.description, self._postfix, self._width), line)

    def _show(self, text: str, line: int) -> None:
        padding = " " * max(0, self._last_length - len(text))
        sys.stderr.write("\n" * line + "\r" + text + padding + _UP * line)
        sys.stderr.flush()
        self._last_length = len(text)


def bar(items: Iterable[_T], total: int, description: str = "") -> Iterator[_T]:
    """Yield the items under a bar; a quick look at a file is as long as each takes by itself."""
    shown = Bar(total, description)
    for item in items:
        yield item
        clock.sleep(_LOOK)
        shown.update()
    shown.close()


def meter(done: int, total: int, elapsed: float, description: str, postfix: str, width: int) -> str:
    """Return a bar as it stands after so many seconds; `width` 0 where nothing tells the columns."""
    rate = done / elapsed if elapsed > 0 else 0.0
    inverse = 1 / rate if rate else 0.0
    speed = f"{inverse:5.2f}s/it" if inverse > 1 else f"{rate:5.2f}it/s" if rate else "?it/s"
    name = f"{description}: " if description else ""
    after = f", {postfix}" if postfix else ""
    if not total:
        return f"{name}{done}it [{interval(elapsed)}, {speed}{after}]"
    left = interval((total - done) / rate) if rate else "?"
    head = f"{name}{done / total * 100:3.0f}%|"
    tail = f"| {done}/{total} [{interval(elapsed)}<{left}, {speed}{after}]"
    return head + _blocks(done / total, max(1, width - len(head) - len(tail)) if width else 10) + tail


def interval(seconds: float) -> str:
    """Write seconds as tqdm does: `MM:SS`, with hours when there are any."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:d}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"


def number(value: float) -> str:
    """Write a number with three digits, as tqdm does where that is shorter."""
    short = f"{value:.3g}".replace("e+0", "e+").replace("e-0", "e-")
    full = str(value)
    return short if len(short) < len(full) else full


def _blocks(share: float, width: int) -> str:
    whole, part = divmod(int(share * width * 8), 8)
    if whole >= width:
        return _BLOCKS[-1] * width
    return _BLOCKS[-1] * whole + _BLOCKS[part] + " " * (width - whole - 1)


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns
    except OSError:
        sizes = [os.environ.get(name, "") for name in ("COLUMNS", "LINES")]
        return int(sizes[0]) - 1 if all(size.isdigit() for size in sizes) else 0
