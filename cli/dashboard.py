"""What a running training looks like: a panel for a terminal, one plain line for everything else. Pure."""

from __future__ import annotations

from itertools import product, zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from cli.braille import Curve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from components.kohya.progress import Progress
    from components.remote.gauges import Gauges, GpuGauge

_GOOD: Final = "cyan"
_WARN: Final = "bold yellow"
_BAD: Final = "bold red"
_FAINT: Final = "dim"

_WARM: Final = 83.0
"""Degrees Celsius above which cards slow down."""

_HOT: Final = 90.0
_FULL: Final = 0.9
_SHORTEST_BAR: Final = 3
_LONGEST_BAR: Final = 16

_Words = list[tuple[str, str]]
"""Texts with their styles."""


def view(
    progress: Progress, gauges: Gauges | None, price: float | None, spent_s: float, width: int
) -> RenderableType:
    """Return a panel `width` columns wide; its curve is as high as the terminal lets it be.

    Args:
        progress: of the training.
        gauges: of its machine, if they are known.
        price: dollars an hour, if known.
        spent_s: seconds that were paid so far.
        width: columns, 40 or more.
    """
    inner = width - 4
    head = [
        _track(progress, inner),
        *_flow(_course(progress), inner),
        *_flow([[cost] for cost in _costs(progress, price, spent_s)], inner),
    ]
    foot = _instruments(gauges, inner) if gauges else []
    state, style = _state(progress)
    return Panel(
        Group(*head, Curve(progress.points, inner, len(head) + len(foot) + 2), *foot),
        title=Text(state, style),
        title_align="left",
        border_style=_FAINT,
        width=width,
    )


def line(progress: Progress, gauges: Gauges | None, price: float | None, spent_s: float) -> str:
    """Return the same in one line of ASCII, for a file or a terminal that can only print."""
    parts = [_state(progress)[0]]
    if progress.step:
        parts.append(str(progress))
    if progress.seconds_per_step:
        parts.append(_rate(progress))
    parts += (text for text, _ in _costs(progress, price, spent_s))
    if gauges:
        for gpu in gauges.gpus:
            told = " ".join(cell.value.strip() for cell in _gpu(gpu)[1:] if cell.value)
            parts.append(f"GPU {gpu.index} {told}".replace("°", ""))
        parts += (f"{cell.label} {cell.value}" for cell in _machine(gauges) if cell.value)
    return ", ".join(parts)


def _state(progress: Progress) -> tuple[str, str]:
    if progress.diverged:
        return f"the loss is {progress.loss}", _BAD
    if progress.finished:
        return "trained", f"bold {_GOOD}"
    return "training" if progress.step else "waiting for the first step", "bold"


def _track(progress: Progress, width: int) -> Text:
    share = progress.step / progress.total if progress.total else 0.0
    words: _Words = [(f" {int(share * 100):3} %", "bold")]
    if _runs(progress):
        words += [(f"   {_clock(progress.seconds_left)}", "bold"), (" left", _FAINT)]
    length = width - sum(len(text) for text, _ in words)
    return _text(*_bar(share, length, _BAD if progress.diverged else _GOOD), *words)


def _runs(progress: Progress) -> bool:
    """Whether it can be told when the run ends."""
    return progress.seconds_per_step > 0 and not (progress.finished or progress.diverged)


def _course(progress: Progress) -> Iterator[_Words]:
    if progress.total:
        yield [("step ", _FAINT), (f"{progress.step:,}/{progress.total:,}", "")]
    if progress.epoch:
        yield [("epoch ", _FAINT), (f"{progress.epoch}/{progress.epochs}", "")]
    if progress.loss is not None:
        yield [("loss ", _FAINT), (f"{progress.loss:.4g}", _BAD if progress.diverged else f"bold {_GOOD}")]
    if progress.seconds_per_step:
        yield [(_rate(progress), "")]


def _rate(progress: Progress) -> str:
    return f"{progress.seconds_per_step:.3g} s/it"


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _costs(progress: Progress, price: float | None, spent_s: float) -> Iterator[tuple[str, str]]:
    if price is None:
        return
    yield f"${price * spent_s / 3600:,.2f} so far", ""
    if _runs(progress):
        yield f"about ${price * (spent_s + progress.seconds_left) / 3600:,.2f} in all", ""
    yield f"${price:,.3f}/h", _FAINT


class _Cell(NamedTuple):
    """One reading: its name, its words (empty: not told), the share of its whole (None: no bar)."""

    label: str = ""
    value: str = ""
    share: float | None = None
    style: str = ""


def _gpu(gpu: GpuGauge) -> list[_Cell]:
    use, memory, heat = _Cell(), _Cell(), _Cell()
    if gpu.utilization is not None:
        use = _Cell("use", f"{gpu.utilization:3.0f} %", gpu.utilization / 100)
    if gpu.used is not None and gpu.total:
        words = f"{gpu.used / 1024:4.1f}/{gpu.total / 1024:.1f} GiB"
        memory = _Cell("VRAM", words, gpu.used / gpu.total)
    if gpu.temperature is not None:
        style = _BAD if gpu.temperature > _HOT else _WARN if gpu.temperature > _WARM else ""
        heat = _Cell("temp", f"{gpu.temperature:3.0f} °C", gpu.temperature / 100, style)
    power = "" if gpu.power is None else f"{gpu.power:3.0f} W"
    return [_Cell("", f"GPU {gpu.index}"), use, memory, heat, _Cell("", power)]


def _machine(gauges: Gauges) -> list[_Cell]:
    load = "" if gauges.load is None else f"{gauges.load:.1f}"
    return [
        _filled("disk", gauges.disk_used, gauges.disk_total),
        _filled("RAM", gauges.ram_used, gauges.ram_total),
        _Cell("load", load),
    ]


def _filled(label: str, used: float, total: float) -> _Cell:
    if not total:
        return _Cell()
    share = used / total
    return _Cell(label, f"{used:.0f}/{total:.0f} GB", share, _BAD if share > _FULL else "")


def _instruments(gauges: Gauges, width: int) -> list[Text]:
    """Return a line for each GPU and one for the machine, in common columns where there is room."""
    gpus, machine = [_gpu(gpu) for gpu in gauges.gpus], _machine(gauges)
    together = _grid([*gpus, [_Cell(), *machine]], width) if gpus else []
    if together and max(row.cell_len for row in together) <= width:
        return together
    return [*_fitted(gpus, width, (True, False)), *_fitted([machine], width, (True,))]


def _fitted(rows: list[list[_Cell]], width: int, labels: tuple[bool, ...]) -> list[Text]:
    """Return `rows` with as much as there is room for: labels go first, then the last column, then bars."""
    lines: list[Text] = []
    for bars, columns, labelled in product((True, False), (None, -1), labels):
        lines = _grid([row[:columns] for row in rows], width, labels=labelled, bars=bars)
        if all(row.cell_len <= width for row in lines):
            break
    return lines


def _grid(rows: list[list[_Cell]], width: int, *, labels: bool = True, bars: bool = True) -> list[Text]:
    """Return `rows` in columns, with bars as long as there is room for."""
    gap = 3 if labels else 2
    columns = [
        column for column in zip_longest(*rows, fillvalue=_Cell()) if any(cell.value for cell in column)
    ]
    names = [
        max(len(cell.label) + 1 if labels and cell.label else 0 for cell in column) for column in columns
    ]
    values = [max(len(cell.value) for cell in column) for column in columns]
    barred = [bars and any(cell.share is not None for cell in column) for column in columns]
    room = width - sum(names) - sum(values) - gap * (len(columns) - 1) - sum(barred)
    length = max(_SHORTEST_BAR, min(_LONGEST_BAR, room // max(1, sum(barred))))
    lines = []
    for row in zip(*columns, strict=True):
        line = Text(no_wrap=True, overflow="ellipsis")
        for cell, name, value, bar in zip(row, names, values, barred, strict=True):
            end = line.cell_len + name + value + (length + 1 if bar else 0)
            if labels:
                line.append(cell.label.ljust(name), _FAINT)
            if bar and cell.share is not None:
                line.append_text(_text(*_bar(cell.share, length, cell.style or _GOOD), (" ", "")))
            line.append(cell.value, cell.style)
            line.append(" " * (end + gap - line.cell_len))
        line.rstrip()
        if line:
            lines.append(line)
    return lines


def _bar(share: float, width: int, style: str) -> _Words:
    """Return a bar that is told from its rest by its shape too, where there are no colours."""
    full, half = divmod(round(2 * width * min(1.0, max(0.0, share))), 2)
    return [("━" * full + "╾" * half, style), ("─" * (width - full - half), _FAINT)]


def _flow(parts: Iterable[_Words], width: int) -> list[Text]:
    """Return `parts` one after another, in as many lines as they need."""
    lines: list[Text] = []
    for part in parts:
        text = _text(*part)
        if lines and lines[-1].cell_len + 3 + text.cell_len <= width:
            lines[-1].append("   ").append_text(text)
        else:
            lines.append(text)
    return lines


def _text(*words: tuple[str, str]) -> Text:
    return Text.assemble(*words, no_wrap=True, overflow="ellipsis")
