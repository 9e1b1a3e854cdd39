"""What runs took against what was foreseen; what they teach is kept for the next estimate."""

from __future__ import annotations

from itertools import groupby
from math import exp, log
from statistics import fmean
from typing import TYPE_CHECKING, Final

from rich.table import Column, Table

from cli.console import Voice
from cli.tables import show
from components.home import output_folder
from components.record import store
from components.record.calibration import learned, measured
from components.record.experience import write_experience

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from components.record.calibration import Measured
    from components.record.model import Record

_ENDED: Final = "done"


def run(root: Path) -> None:
    """Compare all runs at home with what was foreseen, and keep what they teach, for each market by itself.

    Raises:
        FraguaError: what was learned before is damaged, or cannot be written.
    """
    voice = Voice()
    found, damaged = store.every(root / output_folder())
    records = list(found.values())
    for problem in damaged:
        voice.line(f"left out: {problem}")
    markets = sorted({each.market for record in records for each in record.machines if each.market})
    if not markets:
        voice.line("no run at home tells yet how long it took: train something, and run this again")
    for market in markets:
        speeds = [each for each in measured(records) if each.market == market]
        own = learned(records, market)
        voice.title(f"runs on {market}")
        show(voice.console, _speeds(speeds))
        ended = [record for record in records if record.status == _ENDED and record.cost.foreseen]
        ended = [record for record in ended if any(each.market == market for each in record.machines)]
        if ended:
            show(voice.console, _costs(ended))
        voice.line(f"interruptible: {own.outbid} lost in {own.bid_hours:.1f} h")
        write_experience(market, own)
        voice.line("the next estimates take this into account")


def _speeds(found: list[Measured]) -> Table:
    numbers = [Column(name, justify="right") for name in ("runs", "foreseen", "measured", "error")]
    table = Table("GPU", "training", *numbers, "foreseen by", title="seconds an image")

    def name(each: Measured) -> tuple[str, str]:
        return each.gpu, each.kind

    for (gpu, kind), group in groupby(sorted(found, key=name), name):
        runs = list(group)
        foreseen, took = _mean(run.table.seconds for run in runs), _mean(run.seconds for run in runs)
        table.add_row(
            gpu,
            kind,
            str(len(runs)),
            f"{foreseen:.3f}",
            f"{took:.3f}",
            _error(took, foreseen),
            runs[0].table.source,
        )
    return table


def _costs(ended: list[Record]) -> Table:
    numbers = [Column(name, justify="right") for name in ("foreseen", "spent", "error")]
    table = Table("run", *numbers, title="$ for the GPUs' time of training")
    for record in ended:
        foreseen, spent = record.cost.foreseen or 0, record.cost.spent
        table.add_row(record.run, f"{foreseen:.2f}", f"{spent:.2f}", _error(spent, foreseen))
    foreseen, spent = (
        sum(record.cost.foreseen or 0 for record in ended),
        sum(record.cost.spent for record in ended),
    )
    table.add_section()
    table.add_row("in all", f"{foreseen:.2f}", f"{spent:.2f}", _error(spent, foreseen))
    return table


def _mean(numbers: Iterable[float]) -> float:
    return exp(fmean(log(number) for number in numbers))


def _error(took: float, foreseen: float) -> str:
    """Return how much more it took than was foreseen, in percent."""
    return f"{took / foreseen - 1:+.0%}"
