"""A loss curve of braille characters: what was measured, faint; its smoothed course, bright. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Final

from rich.text import Text

from components.record.axis import Axis, Value, axis, smooth, steps_axis
from components.record.curve import number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, ConsoleOptions, RenderResult

_MOST_ROWS: Final = 10
_FEWEST_ROWS: Final = 4
_FAINT: Final = "dim"
_COURSE: Final = "bold cyan"
_OUTLIER: Final = 1.5
"""Times the 99.5th percentile: what lies above is drawn at the upper edge."""

_DRAWABLE: Final = 1e300
"""Beyond it an axis has no room for numbers."""

_BLANK: Final = 0x2800
_DOTS: Final = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
"""The bits of a braille character: by column, each from its lowest dot up."""

_Dot = tuple[int, int]
"""Right and up, from the lower left corner."""


@dataclass(frozen=True)
class Curve:
    """Losses over steps, as high as the terminal lets it be, between empty lines; nothing without points.

    Attributes:
        points: step and loss.
        width: columns, 30 or more.
        others: lines of the terminal that are not for the curve.
    """

    points: tuple[tuple[int, float], ...]
    width: int
    others: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it for a terminal of this height."""
        rows = min(_MOST_ROWS, options.max_height - self.others - 2)
        if self.points and rows >= _FEWEST_ROWS:
            yield Text()
            yield from self._lines(rows - 1)
            yield Text()

    def _lines(self, rows: int) -> Iterator[Text]:
        """Yield the plot, `rows` high, and the line of steps below it."""
        drawable = [max(-_DRAWABLE, min(_DRAWABLE, loss)) for _, loss in self.points]
        losses: list[Value] = [(step, loss) for (step, _), loss in zip(self.points, drawable, strict=True)]
        scale = _scale(sorted(drawable), rows)
        labels = {round(scale.share(tick) * (rows * 4 - 1)) // 4: number(tick) for tick in scale.ticks}
        margin = max(map(len, labels.values()))
        columns = self.width - margin - 2
        steps = steps_axis(self.points[0][0], self.points[-1][0], 3)

        def dots(values: Iterable[Value]) -> list[_Dot]:
            return [
                (round(steps.share(step) * (columns * 2 - 1)), round(scale.share(value) * (rows * 4 - 1)))
                for step, value in values
                if value is not None
            ]

        raw = _cells(dots(losses))
        course = _cells((right, up + lift) for right, up in _joined(dots(smooth(losses))) for lift in (0, 1))
        for row in reversed(range(rows)):
            line = Text(labels.get(row, "").rjust(margin), _FAINT, no_wrap=True)
            line.append(" ┤" if row in labels else " │", _FAINT)
            cells = [(column, row) for column in range(columns)]
            for bright, run in groupby(cells, course.__contains__):
                shown = course if bright else raw
                text = "".join(chr(_BLANK + shown[cell]) if cell in shown else " " for cell in run)
                line.append(text, _COURSE if bright else _FAINT)
            yield line
        first, last = f"step {self.points[0][0]:,}", f"{self.points[-1][0]:,}"
        yield Text(f"{' ' * (margin + 2)}{first}{last:>{columns - len(first)}}", _FAINT, no_wrap=True)


def _scale(measured: list[float], rows: int) -> Axis:
    """Return an axis that ends where the losses do, so that no row is lost, with two or more ticks."""
    low = measured[0]
    high = min(measured[-1], measured[int(0.995 * (len(measured) - 1))] * _OUTLIER)
    for ticks in range(max(3, rows * 2 // 3), 2 * rows):
        inside = tuple(tick for tick in axis(low, high, ticks).ticks if low <= tick <= high)
        if len(inside) > 1:
            return Axis(low, high, inside)
    return axis(low, high, 3)


def _joined(dots: list[_Dot]) -> Iterator[_Dot]:
    """Yield `dots` and those on the straight lines between them."""
    yield from dots[:1]
    for (left, low), (right, high) in pairwise(dots):
        length = max(abs(right - left), abs(high - low), 1)
        for part in range(1, length + 1):
            share = part / length
            yield round(left + (right - left) * share), round(low + (high - low) * share)


def _cells(dots: Iterable[_Dot]) -> dict[_Dot, int]:
    """Return the bits of each character that has dots."""
    cells: defaultdict[_Dot, int] = defaultdict(int)
    for right, up in dots:
        cells[right // 2, up // 4] |= _DOTS[right % 2][up % 4]
    return dict(cells)
