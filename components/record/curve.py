"""The loss curve: what was measured, faint; its smoothed course; where the trainer broke off. Pure.

Drawn in a box of 1000 by 1000 that the page stretches, so that it fits any screen; its labels are HTML.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from components.record.axis import Axis, Value, axis, smooth, steps_axis
from components.record.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from components.record.model import Record

_TICKS: Final = 8
_OUTLIER: Final = 1.5
"""Times the 99.5th percentile: what lies above is drawn at the upper edge."""


@dataclass(frozen=True)
class _Break:
    """The trainer broke off after step `at` and went on after step `back`."""

    at: int
    back: int
    story: str


def figure(record: Record) -> Markup:
    """Return the loss curve, the learning rate below it, and what their marks mean."""
    loss: list[Value] = [(point.step, point.loss) for point in record.loss]
    measured = sorted(value for _, value in loss if value is not None)
    if not measured:
        return tag("p", "No loss was measured.", class_="none")
    course = smooth(loss)
    means = [value for _, value in course if value is not None]
    high = max(*means, min(measured[-1], measured[int(0.995 * (len(measured) - 1))] * _OUTLIER))
    losses = axis(min(0, measured[0]) if measured[0] < high / 2 else measured[0], high, _TICKS)
    above = sum(value > losses.high for value in measured)
    frame = _Frame(
        steps_axis(min(step for step, _ in loss), max(step for step, _ in loss), _TICKS),
        tuple(_breaks(record)),
        tuple(
            step
            for index, (step, value) in enumerate(loss)
            if value is None and (index == 0 or loss[index - 1][1] is not None)
        ),
    )
    flags = [_label("flag", "left", frame.steps, each.at, str(n)) for n, each in enumerate(frame.breaks, 1)]
    title = f"Loss by step, smoothed from {means[0]:.4g} to {means[-1]:.4g}"
    keys = {"raw": "loss", "course": "smoothed"}
    plots = [frame.plot("loss", title, losses, {"raw": loss, "course": course}, flags)]
    rates: list[Value] = [(point.step, point.learning_rate) for point in record.loss]
    if known := [rate for _, rate in rates if rate is not None]:
        keys["rate"] = "learning rate"
        plots.append(
            frame.plot("rates", "Learning rate by step", axis(0, max(known), 4), {"rate": rates}, [])
        )
    if any(each.back < each.at for each in frame.breaks):
        keys["again"] = "trained again"
    if frame.nans:
        keys["nan"] = "nan from here"
    steps = (_label("step", "left", frame.steps, tick, f"{tick:,}") for tick in frame.steps.ticks)
    aside = f"{above} above {losses.high:g} are drawn at the upper edge." if above else ""
    return tag(
        "figure",
        tag("figcaption", *(tag("span", words, class_=f"key {name}") for name, words in keys.items())),
        *plots,
        tag("div", *steps, class_="steps"),
        tag("p", aside, class_="aside"),
        tag("ol", *(tag("li", each.story) for each in frame.breaks), class_="breaks"),
        class_="chart",
    )


def _breaks(record: Record) -> Iterator[_Break]:
    machines = {machine.instance: machine for machine in record.machines}
    for before, after in pairwise(record.parts):
        lost, new = machines.get(before.instance), machines.get(after.instance)
        if before.instance == after.instance:
            story = f"The trainer stopped at step {before.last_step:,} and was started again"
        else:
            why = f" ({lost.why})" if lost and lost.why else ""
            story = f"Instance {before.instance} was lost at step {before.last_step:,}{why}; "
            story += f"instance {after.instance}{f', {new.gpu}, ' if new else ' '}went on"
        source = f" from {after.resumed_from}" if after.resumed_from else " from the beginning"
        yield _Break(before.last_step, after.first_step, f"{story}{source}, at step {after.first_step:,}.")


@dataclass(frozen=True)
class _Frame:
    """What the plots share."""

    steps: Axis
    breaks: tuple[_Break, ...]
    nans: tuple[int, ...]
    """The steps at which the loss stopped being a number."""

    def plot(
        self,
        name: str,
        title: str,
        values: Axis,
        lines: Mapping[str, Sequence[Value]],
        flags: Sequence[Markup],
    ) -> Markup:
        grid = "".join(f"M0 {_down(values, tick)}H1000" for tick in values.ticks)
        again = "".join(
            f"M{_right(self.steps, each.back)} 0V1000H{_right(self.steps, each.at)}V0Z"
            for each in self.breaks
            if each.back < each.at
        )
        drawing = tag(
            "svg",
            tag("path", d=again, class_="again"),
            tag("path", d=grid, class_="grid"),
            *(tag("path", d=self._path(line, values), class_=kind) for kind, line in lines.items()),
            tag("path", d=self._uprights(self.nans), class_="nan"),
            tag("path", d=self._uprights(each.at for each in self.breaks), class_="end"),
            viewBox="0 0 1000 1000",
            preserveAspectRatio="none",
            role="img",
            aria_label=title,
        )
        ticks = (_label("tick", "bottom", values, tick, number(tick)) for tick in values.ticks)
        return tag("div", drawing, *ticks, *flags, class_=f"plot {name}")

    def _uprights(self, steps: Iterable[int]) -> str:
        return "".join(f"M{_right(self.steps, step)} 0V1000" for step in steps)

    def _path(self, line: Sequence[Value], values: Axis) -> str:
        """Draw a line that is broken where there is no number, and where the steps go back."""
        path, last = "", None
        for step, value in line:
            if value is not None:
                place = f"{_right(self.steps, step)} {_down(values, value)}"
                # a line of no length is a dot
                path += f"L{place}" if last is not None and step >= last else f"M{place}h0"
            last = None if value is None else step
        return path


def number(value: float) -> str:
    """Return a number as short as it reads well: 0.15, 2e-5."""
    if not value or 1e-3 <= abs(value) < 1e6:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def _right(steps: Axis, step: float) -> str:
    return f"{steps.share(step) * 1000:.1f}"


def _down(values: Axis, value: float) -> str:
    return f"{(1 - values.share(value)) * 1000:.1f}"


def _label(kind: str, side: str, along: Axis, value: float, text: str) -> Markup:
    return tag("span", text, class_=kind, style=f"{side}:{along.share(value):.2%}")
