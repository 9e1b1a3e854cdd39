"""Validation: the loss of the images kept out of training, at four fixed timesteps each."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from hardware import clock

from library import speed
from library.loss import Average, at_timestep
from library.progress import Bar

if TYPE_CHECKING:
    import argparse

    from library.preparation import Prepared

_TIMESTEPS = 1000
_FORWARD = 0.3  # of a training step: no gradients (assumed)


class Validation:
    """What is validated, with the averages and the bar that outlive one validation."""

    def __init__(self, args: argparse.Namespace, prepared: Prepared, *, trains_text: bool) -> None:
        self._args, self._prepared, self._trains_text = args, prepared, trains_text
        rng = random.Random(0)
        batches = [batch for dataset in prepared.validation for batch in dataset.schedule(rng)]
        count = math.ceil(len(batches) / prepared.processes)
        self.images = count
        limit = args.max_validation_steps
        self._batches = batches[: count if limit is None else min(limit, count)]
        first = args.min_timestep or 0
        last = _TIMESTEPS if args.max_timestep is None else args.max_timestep
        self._timesteps = [int(first + (last - first) * part / 5) for part in range(1, 5)]
        self._of_steps, self._of_epochs = Average(), Average()
        self._bar: Bar | None = None

    def due_after_step(self, step: int) -> bool:
        """Return whether it is time after this optimizer step."""
        every = self._args.validate_every_n_steps
        return bool(self._batches) and every is not None and step % every == 0

    def due_after_epoch(self, done: int) -> bool:
        """Return whether it is time after so many epochs."""
        every = self._args.validate_every_n_epochs
        return self.images > 0 and (every is None or done % every == 0)

    def after_step(self, epoch: int, step: int, trained: float, *, is_nan: bool) -> dict[str, float]:
        """Validate; return the scalars to log.

        Args:
            epoch: from zero.
            step: optimizer steps so far.
            trained: the average loss of training.
            is_nan: the weights are lost.
        """
        self._run("validation steps", "val_avg_loss", self._of_steps, epoch, step, is_nan=is_nan)
        return _scalars("step", self._of_steps.value, trained)

    def after_epoch(self, epoch: int, step: int, trained: float, *, is_nan: bool) -> dict[str, float]:
        """Validate as `after_step` does."""
        self._run("epoch validation steps", "val_epoch_avg_loss", self._of_epochs, epoch, step, is_nan=is_nan)
        return _scalars("epoch", self._of_epochs.value, trained)

    def close(self) -> None:
        """Leave the last bar behind."""
        if self._bar:
            self._bar.close()
            self._bar = None

    def _run(
        self, description: str, name: str, average: Average, epoch: int, step: int, *, is_nan: bool
    ) -> None:
        args = self._args
        bar = Bar(len(self._batches) * len(self._timesteps), description)
        self.close()  # only now does the trainer let go of the bar before
        self._bar = bar
        done = 0
        for index, (size, count) in enumerate(self._batches):
            seconds = _FORWARD * speed.step(
                args,
                count,
                size[0] * size[1],
                full=False,
                trains_text=self._trains_text,
                processes=self._prepared.processes,
            )
            for timestep in self._timesteps:
                clock.sleep(seconds)
                rng = random.Random(f"{args.seed}|{index}|{timestep}")
                loss = math.nan if is_nan else at_timestep(step, timestep, rng)
                average.add(epoch, done, loss)
                done += 1
                bar.update()
                bar.set_postfix({name: average.value, "timestep": timestep})


def _scalars(kind: str, value: float, trained: float) -> dict[str, float]:
    return {
        f"loss/validation/{kind}_average": value,
        f"loss/validation/{kind}_divergence": value - trained,
    }
