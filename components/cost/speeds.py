"""How fast a GPU trains SDXL: seconds an image, from what people measured, dlperf, and own runs. Pure.

The speeds are those of `data/speeds.toml`, brought to one kind of work by the factors here; docs/speeds.md
has each number with its conditions, and where the factors come from.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp, log
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from components.spec.gpus import VRAM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.cost.experience import Experience
    from components.cost.terms import Terms
    from components.cost.work import Work

_FULL: Final = 1.3
"""Times as long as a LoRA: gradients of all weights are computed besides."""
_KEPT: Final = 0.8
"""Times as long where activations are kept instead of computed twice."""
_STEP: Final = 0.7
"""What a step takes whatever is in it, as a share of a megapixel's time."""
_USUAL_BATCH: Final = 4
_TOGETHER: Final = {"lora": 0.92, "full": 0.62}
"""Share of its own speed that each of several GPUs keeps when they train together."""

_DLPERF: Final = (0.46, 0.73)
"""Seconds at a dlperf of 100, and the power by which they fall: fitted to the GPUs of the table."""
_BY_VRAM: Final = ((40, 0.6), (24, 0.9), (16, 1.3), (0, 1.9))
"""Seconds by the least GB of a GPU of which nothing else is known: a guess."""
_UNKNOWN: Final = 1.3

_HOSTS: Final = 0.2
"""Spread that stays however many reports there are: between hosts, and between settings."""
_DERIVED, _SCALED, _GUESSED = 0.45, 0.5, 0.7


@dataclass(frozen=True)
class Pace:
    """Seconds for one image on one GPU.

    Attributes:
        seconds: in the mean of what it may be.
        spread: standard deviation of its logarithm: 0.1 is about 10 % either way.
        source: what it is known by, for a person.
    """

    seconds: float
    spread: float
    source: str


def pace(terms: Terms, work: Work, experience: Experience) -> Pace:
    """Return how fast the GPUs of `terms` train the images of `work`, each GPU for itself.

    The user's own runs on such a GPU pull the speed towards theirs, two runs half the way.
    """
    base, shape = _base(terms), shape_factor(work)
    seconds, spread, source = base.seconds * shape, base.spread, base.source
    if own := experience.speeds.get(key(terms.gpu, work.kind)):
        believed = own.runs / (own.runs + 2)
        seconds = exp((1 - believed) * log(seconds) + believed * log(own.seconds * shape))
        spread *= (1 - believed) ** 0.5
        source += f", and {own.runs} of your own"
    return Pace(seconds * exp(spread**2 / 2), spread, source)


def key(gpu: str, kind: str) -> str:
    """Return by what `Experience.speeds` knows the work of a kind on a GPU."""
    return f"{gpu}/{kind}"


def shape_factor(work: Work) -> float:
    """Return how many times as long an image of `work` takes as one of a LoRA at 1024 x 1024.

    That LoRA is trained by four images a step and with gradient checkpointing.
    """
    size = (work.megapixels + _STEP / work.batch) / (1 + _STEP / _USUAL_BATCH)
    return size * (_FULL if work.kind == "full" else 1) * (1 if work.checkpointing else _KEPT)


def together(work: Work) -> float:
    """Return how many GPUs, each for itself, those of `work` are worth."""
    return 1 if work.gpus == 1 else work.gpus * _TOGETHER[work.kind]


def _base(terms: Terms) -> Pace:
    """Return the seconds of an image of that LoRA."""
    if known := listed().get(terms.gpu):
        return known
    if terms.dlperf:
        at_100, power = _DLPERF
        seconds = at_100 * (100 * terms.gpus / terms.dlperf) ** power
        return Pace(seconds, _SCALED, "dlperf, as it is not listed")
    if sizes := VRAM.get(terms.gpu):
        seconds = next(seconds for least, seconds in _BY_VRAM if max(sizes) >= least)
        return Pace(seconds, _GUESSED, "a guess by its VRAM")
    return Pace(_UNKNOWN, _GUESSED, "a guess, as nothing is known of this GPU")


@cache
def listed() -> Mapping[str, Pace]:
    """Return the seconds of an image of that LoRA, by GPU as Vast.ai spells it."""
    text = (files("components.cost") / "data" / "speeds.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    seen: dict[str, list[float]] = {}
    for report in data["reports"]:
        for gpu in report["gpus"]:
            seen.setdefault(gpu, []).append(log(_normal(report)))
    table = {
        gpu: Pace(
            exp(fmean(found)),
            _HOSTS + 0.2 / len(found),
            f"{len(found)} {'report' if len(found) == 1 else 'reports'}",
        )
        for gpu, found in seen.items()
    }
    for ratio in data["ratios"]:
        base = table[ratio["than"]].seconds * ratio["times"]
        for gpu in ratio["gpus"]:
            table[gpu] = Pace(base, _DERIVED, f"its ratio to {ratio['than']}")
    return table


def _normal(report: dict[str, Any]) -> float:
    """Return what a report says of an image of that LoRA."""
    batch, kept = report["batch"], not report.get("checkpointing", True)
    size = (1 + _STEP / batch) / (1 + _STEP / _USUAL_BATCH)
    return float(
        report["seconds"] / batch / size / (_FULL if report["kind"] == "full" else 1) / (_KEPT if kept else 1)
    )
