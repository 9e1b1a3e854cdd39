"""Seeded noise as pure functions: the same arguments give the same value, in any order of asking.

This is what makes the market's walk independent of how often anybody looks at it.
"""

from __future__ import annotations

import math
from hashlib import blake2b


def uniform(*parts: object) -> float:
    """Return a number in [0, 1) that is a function of `parts`."""
    digest = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def walk(seconds: float, period: float, *parts: object) -> float:
    """Return a smooth walk in [-1, 1] at `seconds`, with one random knot every `period` seconds."""
    knot = math.floor(seconds / period)
    here, there = uniform(*parts, knot), uniform(*parts, knot + 1)
    share = seconds / period - knot
    ease = share * share * (3 - 2 * share)
    return 2 * (here + (there - here) * ease) - 1
