"""Virtual time inside one process: it passes only in `sleep`, which takes its share of real time.

So what a program prints about time is the same on any computer. It does not know when the machine was rented.
"""

from __future__ import annotations

import time

from hardware.facts import machine

_START = time.monotonic()
_passed = [0.0]
_SHORTEST = 0.0005  # a real sleep takes longer than this, however short it is meant to be


def now() -> float:
    """Return the virtual seconds since this process started."""
    return _passed[0]


def sleep(seconds: float) -> None:
    """Let `seconds` of virtual time pass.

    What real time the work in between took counts towards them, but no sleep is less than half its length:
    a process that was held up does not rush through the rest.
    """
    _passed[0] += seconds
    left = _START + now() / machine().scale - time.monotonic()
    pause = max(left, seconds / machine().scale / 2)
    if pause > _SHORTEST:
        time.sleep(pause)
