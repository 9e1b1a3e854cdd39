"""The training loop: epochs, batches, optimizer steps, the bar, previews and the moments of saving.

What is saved, and how it is said, is the trainer's; the loop knows when.
"""

from __future__ import annotations

import math
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hardware import clock
from hardware.facts import machine

from library import memory, samples, speed
from library.console import echo, log
from library.events import EventFile
from library.loss import Average, Losses
from library.state import Position

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from library.buckets import Size
    from library.optimizer import Scheduler
    from library.preparation import Prepared
    from library.progress import Bar
    from library.validation import Validation

_NAN_FROM_STEP = 10  # of the fault `nan_loss`
_LARGE_FROM_STEP = 14  # of the fault `large_images`: half as many pixels again


class Saver(Protocol):
    """What a trainer writes when the loop says so."""

    def save_step(self, position: Position, epochs_done: int) -> None:
        """Save a model after a step, and its state where states are saved."""

    def save_epoch(self, position: Position) -> None:
        """Save a model after an epoch, and its state where states are saved."""


@dataclass
class Loop:
    """One run through the epochs.

    Attributes:
        batches: of an epoch, on one GPU.
        epochs: how many there are, counted from the first of the whole training.
        first_epoch: from zero, where a resumed training goes on.
        skip: batches to leave out at the start.
        step: optimizer steps so far in this session.
        rates: learning rates by name, before the schedule.
        keeps: what training needs of the GPU's memory.
        validation: what is validated on the way, if anything.
    """

    args: argparse.Namespace
    prepared: Prepared
    scheduler: Scheduler
    rates: dict[str, float]
    keeps: memory.Demand
    full: bool
    trains_text: bool
    batches: int
    epochs: int
    first_epoch: int = 0
    skip: int = 0
    step: int = 0
    average: Average = field(default_factory=Average)
    events: EventFile | None = None
    validation: Validation | None = None
    epoch: int = 0

    def open_trackers(self, default_name: str) -> None:
        """Open the event file of TensorBoard, where one is wanted."""
        args = self.args
        if args.logging_dir is None or args.log_with == "wandb":
            return
        run = f"{args.log_prefix or ''}{time.strftime('%Y%m%d%H%M%S')}"
        self.events = EventFile(Path(args.logging_dir) / run / (args.log_tracker_name or default_name))

    @property
    def resident(self) -> float:
        """Bytes that stay on the GPU between steps."""
        return self.keeps.weights + self.keeps.gradients + self.keeps.states

    def run(self, bar: Bar, saver: Saver) -> None:
        """Train."""
        args = self.args
        losses = Losses(args.seed)
        rng = random.Random(args.seed)
        for epoch in range(self.first_epoch, self.epochs):
            self.epoch = epoch
            echo(f"\nepoch {epoch + 1}/{self.epochs}" + ("" if self.full else "\n"))
            self._announce_epoch(epoch)
            for index, (size, count) in enumerate(self._epoch_batches(rng)):
                if index < self.skip:
                    continue
                self._batch(epoch, index, size, count, losses, rng, bar, saver)
                if self.step >= args.max_train_steps:
                    break
            self.skip = 0
            self._end_epoch(epoch, bar, saver)
        if self.events:
            self.events.close()

    def _batch(
        self,
        epoch: int,
        index: int,
        size: Size,
        count: int,
        losses: Losses,
        rng: random.Random,
        bar: Bar,
        saver: Saver,
    ) -> None:
        args, processes = self.args, self.prepared.processes
        pixels = size[0] * size[1]
        most = (
            pixels * 1.5 if self.step >= _LARGE_FROM_STEP and "large_images" in machine().faults else pixels
        )
        memory.require(self.keeps.peak(count, most, first=self.step == 0), processes, 98)
        seconds = speed.step(
            args, count, pixels, full=self.full, trains_text=self.trains_text, processes=processes
        )
        clock.sleep(seconds * rng.uniform(0.98, 1.02))
        last = index + 1 == self.batches
        synchronized = (index + 1) % args.gradient_accumulation_steps == 0 or last
        if synchronized:
            self.scheduler.step()
            bar.update()
            self.step += 1
            samples.draw(args, None, self.step, self.resident, processes)
            if not self.full:
                bar.unpause()
            if args.save_every_n_steps is not None and self.step % args.save_every_n_steps == 0:
                saver.save_step(Position(epoch + 1, self.step), epoch)
        loss = math.nan if self._is_nan(count, rng) else losses.draw(self.step, count * processes)
        self.average.add(epoch, index, loss)
        postfix = {"avr_loss": self.average.value}
        if getattr(args, "scale_weight_norms", None):
            postfix |= {"Keys Scaled": 0, "Average key norm": 0.02 + 1e-5 * self.step}
        bar.set_postfix(dict(sorted(postfix.items())))
        self._log_step(loss)
        if self.validation and synchronized and self.validation.due_after_step(self.step):
            self._log(
                self.validation.after_step(epoch, self.step, self.average.value, is_nan=self._is_lost),
                self.step,
            )
            bar.unpause()

    def _end_epoch(self, epoch: int, bar: Bar, saver: Saver) -> None:
        args, done = self.args, epoch + 1
        if self.validation and self.validation.due_after_epoch(done):
            self._log(
                self.validation.after_epoch(epoch, self.step, self.average.value, is_nan=self._is_lost), done
            )
            bar.unpause()
        self._log({"loss/epoch" if self.full else "loss/epoch_average": self.average.value}, done)
        if (
            args.save_every_n_epochs is not None
            and done % args.save_every_n_epochs == 0
            and done < self.epochs
        ):
            saver.save_epoch(Position(done, self.step))
        samples.draw(args, done, self.step, self.resident, self.prepared.processes)
        if not self.full:
            bar.unpause()

    def _epoch_batches(self, rng: random.Random) -> Iterator[tuple[Size, int]]:
        """Yield the batches that one GPU gets; the last ones are repeated where they do not divide evenly."""
        everything = [batch for dataset in self.prepared.datasets for batch in dataset.schedule(rng)]
        rng.shuffle(everything)
        processes = self.prepared.processes
        for index in range(self.batches):
            yield everything[index * processes % len(everything)]

    def _announce_epoch(self, epoch: int) -> None:
        """Say what each worker of the data loader says when it meets the new epoch."""
        workers = min(self.args.max_data_loader_n_workers, os.cpu_count() or 1, machine().cores) or 1
        fresh = not self.args.persistent_data_loader_workers
        for _ in range(min(workers, self.batches) * len(self.prepared.datasets)):
            log("epoch_incremented", old=0 if fresh else epoch, new=epoch + 1)

    @property
    def _is_lost(self) -> bool:
        """Whether the weights have become NaN."""
        return "nan_loss" in machine().faults and self.step >= _NAN_FROM_STEP

    def _is_nan(self, count: int, rng: random.Random) -> bool:
        if self._is_lost:
            return True
        images = sum(len(dataset.images) for dataset in self.prepared.datasets)
        if self.prepared.vae_overflows and rng.random() < count / 8:
            echo("NaN found in latents, replacing with zeros")
        share = len(self.prepared.broken) / images
        return bool(share) and rng.random() < 1 - (1 - share) ** count

    def _log_step(self, loss: float) -> None:
        values = {"loss": loss} if self.full else {"loss/current": loss, "loss/average": self.average.value}
        factor, initial = self.scheduler.factor(), self.scheduler.initial
        for name, rate in self.rates.items():
            values[f"lr/{name}"] = rate * factor if initial is None else initial
        self._log(values, self.step)

    def _log(self, values: dict[str, float], step: int) -> None:
        if self.events:
            self.events.scalars(values, step)
