"""What a running training looks like: a panel for a terminal, one plain line for everything else. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_GAP: Final = 3
_SHORTEST_BAR: Final = 3
_LONGEST_BAR: Final = 20
_MOST_ROWS: Final = 10
_FEWEST_ROWS: Final = 4
_DRAWABLE: Final = 1e300
"""Beyond it, an axis has no numbers."""


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
        *_flow(([cost] for cost in _costs(progress, price, spent_s)), inner),
    ]
    foot = _instruments(gauges, inner) if gauges else []
    state, style = _state(progress)
    return Panel(
        Group(*head, _Curve(progress.points, inner, len(head) + len(foot) + 2), *foot),
        title=Text(state, style),
        title_align="left",
        border_style=_FAINT,
        width=width,
    )


def line(progress: Progress, gauges: Gauges | None, price: float | None, spent_s: float) -> str:
    """Return the same in one line of ASCII, for a log or a terminal that can only print."""
    parts = [f"{_state(progress)[0]}: {progress}"]
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
    style = _BAD if progress.diverged else _GOOD
    return _text(*_bar(share, width - 6, style), (f"{share:>5.0%} "[:6].rjust(6), "bold"))


def _course(progress: Progress) -> Iterator[list[tuple[str, str]]]:
    yield [("step ", _FAINT), (f"{progress.step:,}/{progress.total:,}" if progress.total else "-", "")]
    if progress.epoch:
        yield [("epoch ", _FAINT), (f"{progress.epoch}/{progress.epochs}", "")]
    if progress.loss is not None:
        yield [("loss ", _FAINT), (f"{progress.loss:.4g}", _BAD if progress.diverged else f"bold {_GOOD}")]
    if progress.seconds_per_step:
        yield [(_rate(progress), "")]
        if progress.total and not progress.finished:
            yield [(_clock(progress.seconds_left), "bold"), (" left", _FAINT)]


def _rate(progress: Progress) -> str:
    return f"{progress.seconds_per_step:.3g} s/it"


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _costs(progress: Progress, price: float | None, spent_s: float) -> Iterator[tuple[str, str]]:
    if price is None:
        return
    yield f"${price * spent_s / 3600:,.2f} so far", ""
    if progress.total and progress.seconds_per_step and not progress.finished:
        yield f"about ${price * (spent_s + progress.seconds_left) / 3600:,.2f} in all", ""
    yield f"${price:,.3f}/h", _FAINT


@dataclass(frozen=True)
class _Cell:
    """One reading: what it is, how much of its whole (None: no bar), in words."""

    label: str = ""
    value: str = ""
    share: float | None = None
    style: str = ""


def _instruments(gauges: Gauges, width: int) -> list[Text]:
    """Return a line for each GPU and one for the machine, below each other in columns where they fit."""
    gpus = [_gpu(gpu) for gpu in gauges.gpus]
    machine = _machine(gauges)
    together = _grid([*gpus, [_Cell(), *machine]], width) if gpus else None
    if together:
        return together
    bare = [[row[0], *(_Cell("", cell.value, cell.share, cell.style) for cell in row[1:])] for row in gpus]
    return [*_first_fit([gpus, bare], width), *_first_fit([[machine]], width)]


def _gpu(gpu: GpuGauge) -> list[_Cell]:
    heat = gpu.temperature
    style = "" if heat is None or heat <= _WARM else _WARN if heat <= _HOT else _BAD
    memory = ""
    if gpu.used is not None and gpu.total:
        memory = f"{gpu.used / 1024:.1f}/{gpu.total / 1024:.1f} GiB"
    return [
        _Cell("GPU", str(gpu.index)),
        _reading("use", gpu.utilization, " %", 100),
        _Cell("VRAM", memory, gpu.used / gpu.total if gpu.used is not None and gpu.total else None),
        _Cell("temp", "" if heat is None else f"{heat:.0f} °C", None if heat is None else heat / 100, style),
        _Cell("", "" if gpu.power is None else f"{gpu.power:.0f} W"),
    ]
