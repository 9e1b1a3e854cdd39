"""How commands speak: lines that last, and one line that moves where a terminal can show it."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

_EVERY: Final = 5.0


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Say no more where nobody listens, as after `| head`, and let the work go on.

        The thread that hears of Pulumi's events must not end: Pulumi would wait for it for ever.
        """
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Voice:
    """Prints lines, and a line of progress that overwrites itself on a terminal.

    Without a terminal the progress is printed as a line at most every five seconds.
    """

    def __init__(self) -> None:
        """Speak on standard output."""
        self.console = _Console(highlight=False, soft_wrap=True)
        self._status = self.console.status("") if self.console.is_terminal else None
        plain = self.console.is_dumb_terminal or self.console.options.ascii_only
        drawn = self.console.is_terminal and not plain
        self._screen = Live(console=self.console, auto_refresh=False, transient=True) if drawn else None
        self._last = 0.0

    def title(self, text: str) -> None:
        """Begin a chapter."""
        self.console.print(f"\n[bold]{text}[/bold]")

    def line(self, text: str) -> None:
        """Say something that stays."""
        self.console.print(Text(f"  {text}"))

    def moving(self, text: str) -> None:
        """Say how far something is."""
        if self._status:
            self._status.update(Text(text))
            self._status.start()
        elif time.monotonic() - self._last > _EVERY:
            self._last = time.monotonic()
            self.line(text)

    def show(self, panel: Callable[[int], RenderableType], plain: str) -> None:
        """Show a panel, made for so many columns, in place of the one before; a line where none can be."""
        if not self._screen:
            self.moving(plain)
            return
        self._screen.update(panel(self.console.width), refresh=True)
        self._screen.start()

    def still(self) -> None:
        """End the moving line."""
        if self._status:
            self._status.stop()
        if self._screen:
            self._screen.stop()


def bar(done: float, total: float, width: int = 24) -> str:
    """Return a bar of `width` characters."""
    filled = round(width * done / total) if total else 0
    return "█" * filled + "░" * (width - filled)
