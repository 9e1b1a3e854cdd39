"""The loss: a believable course that depends on the seed alone, and its average as the trainer keeps it."""

from __future__ import annotations

import math
import random

_FLOOR, _FALL, _HALF_LIFE = 0.088, 0.045, 250
_BY_TIMESTEP = 3.2  # how much more the loss is at the first timestep than at the last, near enough


class Losses:
    """The loss of each step: scattered, as single timesteps scatter it, around a slowly falling mean."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed ^ 0x5D)

    def draw(self, step: int, batch: int) -> float:
        """Return the loss of a step over so many images."""
        shape = 1.7 * batch
        return self._rng.gammavariate(shape, _mean(step) / shape)


def at_timestep(step: int, timestep: int, rng: random.Random) -> float:
    """Return the loss after so many steps at one timestep of a thousand; less the more noise there is."""
    share: float = _BY_TIMESTEP ** (0.5 - timestep / 1000)
    return 1.06 * _mean(step) * share * rng.uniform(0.8, 1.2)


def _mean(step: int) -> float:
    return _FLOOR + _FALL * math.exp(-step * math.log(2) / _HALF_LIFE)


class Average:
    """The mean over the last epoch's worth of steps. One NaN stays in the sum for ever."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._total = 0.0

    def add(self, epoch: int, step: int, loss: float) -> None:
        """Add the loss of a step, counted within its epoch; both from zero."""
        if epoch == 0:
            self._losses.append(loss)
        else:
            while len(self._losses) <= step:
                self._losses.append(0.0)
            self._total -= self._losses[step]
            self._losses[step] = loss
        self._total += loss

    @property
    def value(self) -> float:
        """The mean."""
        return self._total / len(self._losses) if self._losses else 0.0
