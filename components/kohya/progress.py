"""What sd-scripts prints while it trains, read piece by piece. Pure.

Its bar goes to stderr with carriage returns; other bars have the same shape, so only one that begins with
`steps:` counts. `avr_loss` is a mean over the last epoch's worth of steps; one nan makes it nan for ever.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

_BAR: Final = re.compile(
    r"steps:\s+\d+%\|[^|]*\|\s*(?P<step>\d+)/(?P<total>\d+)\s*"
    r"\[(?P<elapsed>[\d:]+)<(?P<left>[\d:?]+),\s*(?P<rate>[\d.?]+)(?P<unit>s/it|it/s)(?P<rest>[^\]]*)\]"
)
_LOSS: Final = re.compile(r"avr_loss=(nan|inf|[\d.e+-]+)")
_EPOCH: Final = re.compile(r"^epoch (\d+)/(\d+)")
_SAVED: Final = re.compile(
    r"(?:saving (?:checkpoint|model):|save trained model as [A-Z][A-Za-z ]+ to) (?P<path>\S.*)$"
)
_STATE: Final = re.compile(r"saving state at (?:epoch|step) \d+")
_LAST_STATE: Final = "saving last state."
_REMOVED: Final = re.compile(r"removing old (?:checkpoint|model|state): (\S.*)$")
_DONE: Final = "model saved."
_SUFFIX: Final = re.compile(r"\.(safetensors|ckpt|pt)$")
_POINTS: Final = 512


@dataclass
class Progress:
    """How far a training run is; `read` moves it on.

    Attributes:
        step: optimizer steps done.
        total: steps in all; 0 while unknown.
        epoch: the current epoch, from 1; 0 while unknown.
        epochs: epochs in all.
        loss: the mean that the bar shows; None before the first.
        seconds_per_step: a mean over the run; 0 while unknown.
        checkpoints: paths of checkpoints in the order of their saving.
        states: paths of states in the order of their saving, without the one at the end of training.
        removed: paths of checkpoints and states that sd-scripts removed again.
        points: step and loss for a curve, thinned to some hundreds.
        finished: sd-scripts said that it saved the model at its end.
    """

    step: int = 0
    total: int = 0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    seconds_per_step: float = 0.0
    checkpoints: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    points: tuple[tuple[int, float], ...] = ()
    finished: bool = False
    _partial: str = ""
    _stride: int = 1
    _open: str = ""
    _open_since: int = 0

    @property
    def seconds_left(self) -> float:
        """Seconds to the last step at the rate so far."""
        return (self.total - self.step) * self.seconds_per_step

    @property
    def diverged(self) -> bool:
        """Whether the loss is nan or infinite: nothing good comes after that."""
        return self.loss is not None and not math.isfinite(self.loss)

    @property
    def whole(self) -> tuple[str, ...]:
        """The checkpoints and states that lie whole on the machine.

        sd-scripts writes them in place, one after another: the newest is whole only when the log shows that
        the trainer went on to something else.
        """
        gone = {self._open, *self.removed}
        return tuple(path for path in (*self.checkpoints, *self.states) if path not in gone)

    def read(self, text: str) -> None:
        """Take in the next piece of the log, which may end in the middle of a line."""
        *lines, self._partial = re.split(r"[\r\n]", self._partial + text)
        for line in lines:
            self._line(line)
        if _BAR.match(self._partial):
            self._line(self._partial)

    def _line(self, line: str) -> None:
        if bar := _BAR.match(line):
            self._bar(bar)
        elif epoch := _EPOCH.match(line):
            self.epoch, self.epochs = int(epoch[1]), int(epoch[2])
            self._writes("")
        elif saved := _SAVED.search(line):
            self.checkpoints += (saved["path"].strip(),)
            self._writes(self.checkpoints[-1])
        elif _STATE.search(line) and self.checkpoints:
            self.states += (f"{_SUFFIX.sub('', self.checkpoints[-1])}-state",)
            self._writes(self.states[-1])
        elif removed := _REMOVED.search(line):
            self.removed += (removed[1].strip(),)
            self._writes("")
        elif _LAST_STATE in line:
            self._writes("")
        elif _DONE in line:
            self.finished = True
            self._writes("")

    def _bar(self, bar: re.Match[str]) -> None:
        self.step, self.total = int(bar["step"]), int(bar["total"])
        if self._open and self.step > self._open_since + 1:  # tqdm may draw the current step amid a save
            self._writes("")
        if "?" not in bar["rate"] and (rate := float(bar["rate"])):
            self.seconds_per_step = rate if bar["unit"] == "s/it" else 1 / rate
        if loss := _LOSS.search(bar["rest"]):
            self.loss = float(loss[1])
            self._point(self.step, self.loss)

    def _writes(self, path: str) -> None:
        self._open, self._open_since = path, self.step

    def _point(self, step: int, loss: float) -> None:
        last = self.points[-1][0] if self.points else -self._stride
        if math.isfinite(loss) and step >= last + self._stride:
            self.points += ((step, loss),)
            if len(self.points) > _POINTS:
                self.points, self._stride = self.points[::2], self._stride * 2

    def __str__(self) -> str:
        """Describe it in one line."""
        loss = "-" if self.loss is None else f"{self.loss:.4f}"
        hours, rest = divmod(int(self.seconds_left), 3600)
        epoch = f"epoch {self.epoch}/{self.epochs}, " if self.epoch else ""
        return (
            f"{epoch}step {self.step}/{self.total}, loss {loss}, {hours}:{rest // 60:02}:{rest % 60:02} left"
        )
