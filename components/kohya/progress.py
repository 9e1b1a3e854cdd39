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
_SAVED: Final = re.compile(r"saving checkpoint: (\S.*)$")
_DONE: Final = "model saved."


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
        finished: sd-scripts said that it saved the model at its end.
    """

    step: int = 0
    total: int = 0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    seconds_per_step: float = 0.0
    checkpoints: tuple[str, ...] = ()
    finished: bool = False
    _partial: str = ""

    @property
    def seconds_left(self) -> float:
        """Seconds to the last step at the rate so far."""
        return (self.total - self.step) * self.seconds_per_step

    @property
    def diverged(self) -> bool:
        """Whether the loss is nan or infinite: nothing good comes after that."""
        return self.loss is not None and not math.isfinite(self.loss)

    def read(self, text: str) -> None:
        """Take in the next piece of the log, which may end in the middle of a line."""
        *lines, self._partial = re.split(r"[\r\n]", self._partial + text)
        for line in lines:
            self._line(line)
        if _BAR.match(self._partial):
            self._line(self._partial)

    def _line(self, line: str) -> None:
        if bar := _BAR.match(line):
            self.step, self.total = int(bar["step"]), int(bar["total"])
            if "?" not in bar["rate"] and (rate := float(bar["rate"])):
                self.seconds_per_step = rate if bar["unit"] == "s/it" else 1 / rate
            if loss := _LOSS.search(bar["rest"]):
                self.loss = float(loss[1])
        elif epoch := _EPOCH.match(line):
            self.epoch, self.epochs = int(epoch[1]), int(epoch[2])
        elif saved := _SAVED.search(line):
            self.checkpoints += (saved[1].strip(),)
        elif _DONE in line:
            self.finished = True

    def __str__(self) -> str:
        """Describe it in one line."""
        loss = "-" if self.loss is None else f"{self.loss:.4f}"
        hours, rest = divmod(int(self.seconds_left), 3600)
        epoch = f"epoch {self.epoch}/{self.epochs}, " if self.epoch else ""
        return (
            f"{epoch}step {self.step}/{self.total}, loss {loss}, {hours}:{rest // 60:02}:{rest % 60:02} left"
        )
