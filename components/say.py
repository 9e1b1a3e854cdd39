"""Tells a person what happens while it happens: the engine shows what a plugin prints."""

from __future__ import annotations

import os
import sys


def say(*words: str, aside: bool = False) -> None:
    """Print one line at once; where nobody hears it any more, end this process as it stands.

    A plugin outlives an engine that was killed. It must not go on: what it rented and would give back may
    be what the next run has taken up by then. What is said `aside` goes to standard error, so that it spoils
    no output.
    """
    try:
        print(*words, flush=True, file=sys.stderr if aside else sys.stdout)
    except BrokenPipeError:
        os._exit(1)
