"""How many optimizer steps a training has: epochs, processes and accumulated gradients."""

from __future__ import annotations

import math


def per_epoch(batches: int, processes: int, accumulation: int) -> int:
    """Return the steps of one epoch."""
    return math.ceil(batches / processes / accumulation)


def total(batches: int, processes: int, accumulation: int, *, epochs: int | None, steps: int) -> int:
    """Return the steps of the training: epochs, where given, override `max_train_steps`."""
    return steps if epochs is None else epochs * per_epoch(batches, processes, accumulation)


def epochs(total_steps: int, loader_batches: int, accumulation: int) -> int:
    """Return the epochs that the steps take; `loader_batches` are those of one process."""
    return math.ceil(total_steps / math.ceil(loader_batches / accumulation))
