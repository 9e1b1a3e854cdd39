"""Round ticks along an axis, and the smoothed course of a measurement. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAST: Final = 1e-300

Value = tuple[int, float | None]
"""A step and what was measured there; None where that was no number."""


@dataclass(frozen=True)
class Axis:
    """A range of numbers with its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 at `low` to 1 at `high`; one beyond an end lies at that end."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def axis(low: float, high: float, most: int) -> Axis:
    """Return an axis from `low` to `high`, widened to round ticks: at most `most` of them (3 or more)."""
    if high - low <= max(_LEAST, 1e-5 * abs(high)):
        high = low + (abs(low) if abs(low) > _LEAST else 1)
    unit = _unit((high - low) / (most - 2))
    first, last = math.floor(low / unit), math.ceil(high / unit)
    return Axis(first * unit, last * unit, tuple(index * unit for index in range(first, last + 1)))


def steps_axis(low: int, high: int, most: int) -> Axis:
    """Return an axis from `low` to `high` exactly, with at most `most` (3 or more) round ticks on it."""
    unit = max(1, round(_unit((high - low or 1) / (most - 1))))
    return Axis(low, max(high, low + 1), tuple(range(-(-low // unit) * unit, high + 1, unit)))


def smooth(values: Sequence[Value]) -> list[Value]:
    """Return the running mean, in which a value counts the less the longer it is ago."""
    keep = 1 - 1 / max(1.0, len(values) / 40)
    total = weight = 0.0
    course: list[Value] = []
    for step, value in values:
        if value is None:
            course.append((step, None))
            continue
        total, weight = keep * total + value, keep * weight + 1
        course.append((step, total / weight))
    return course


def _unit(least: float) -> float:
    """Return the smallest 1, 2 or 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
