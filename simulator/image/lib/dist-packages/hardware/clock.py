"""Virtual time inside one process: it passes only in `sleep`, which takes its share of real time.

So what a program prints about time is the same on any computer. It does not know when the machine was rented.
"""

from __future__ import annotations

import time

from hardware.facts import machine

_START = time.monotonic()
_passed = [0.0]


def now() -> float:
    """Return the virtual seconds since this process started."""
    return _passed[0]


def sleep(seconds: float) -> None:
    """Let `seconds` of virtual time pass; what real time the work around it took counts towards them."""
    _passed[0] += seconds
    if (left := _START + now() / machine().scale - time.monotonic()) > 0:
        time.sleep(left)
