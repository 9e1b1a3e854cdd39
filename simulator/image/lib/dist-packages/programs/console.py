"""How the programs speak: text at once, and failures as the name of the program and a reason."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn


def say(text: str = "", end: str = "\n") -> None:
    """Write to stdout at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def warn(text: str, end: str = "\n") -> None:
    """Write to stderr at once."""
    sys.stderr.write(text + end)
    sys.stderr.flush()


def fail(text: str, code: int) -> NoReturn:
    """Write to stderr and end the program."""
    warn(text)
    sys.exit(code)


def end_by_signals() -> None:
    """Let Ctrl-C and a closed pipe end the program without a word, as they end compiled ones."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def real_program(name: str) -> str | None:
    """Return the next program of that name on PATH that is not this image's own."""
    own = Path(sys.argv[0]).resolve()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(folder, name)
        if path.is_file() and os.access(path, os.X_OK) and path.resolve() != own:
            return str(path)
    return None


def hand_over(name: str, arguments: list[str]) -> NoReturn:
    """Become the real program of that name, or fail as a shell does when there is none."""
    path = real_program(name)
    if path is None:
        fail(f"bash: {name}: command not found", 127)
    sys.stdout.flush()
    os.execv(path, [name, *arguments])  # noqa: S606 - becoming that program is the point
