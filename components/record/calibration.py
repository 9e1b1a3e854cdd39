"""What runs took against what was foreseen, and what that teaches for the next ones. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from components.cost.experience import Experience, Speed
from components.cost.speeds import Pace, key, pace, shape_factor, together
from components.cost.terms import Terms
from components.cost.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from components.record.model import Machine, Record

_LEAST_STEPS: Final = 20
"""Fewer are mostly the warming up."""


@dataclass(frozen=True)
class Measured:
    """What a run took on one model of GPU.

    Attributes:
        run: its id.
        gpu: as Vast.ai spells it.
        kind: lora or full.
        market: where the GPU was rented.
        seconds: for one image on one GPU.
        table: what the table says of that, without anybody's own runs.
        usual: the seconds, brought to the size and batch of the table's.
    """

    run: str
    gpu: str
    kind: str
    market: str
    seconds: float
    table: Pace
    usual: float


def work_of(settings: Mapping[str, Any], kind: str, steps: int) -> Work:
    """Return the training of a record: so many steps with its settings.

    Raises:
        LookupError, ValueError, TypeError: the settings do not tell it.
    """
    training, gpu = settings["training"], settings["node"]["gpu"]
    gpus = training.get("processes") or gpu.get("count", 1)
    images = steps * training["batch_size"] * training["gradient_accumulation"] * gpus
    return Work.model_validate(
        {
            "kind": kind,
            "images": images,
            "megapixels": (training["resolution"] / 1024) ** 2,
            "batch": training["batch_size"],
            "checkpointing": training["gradient_checkpointing"],
            "gpus": gpus,
            "disk": settings["node"]["disk"],
        }
    )


def measured(records: Iterable[Record]) -> Iterator[Measured]:
    """Return what the runs took, where enough steps were seen to tell."""
    for record in records:
        try:
            job = work_of(record.settings, record.kind, 1)
        except (LookupError, ValueError, TypeError):
            continue
        for gpu, market in {(each.gpu, each.market) for each in record.machines if each.market}:
            ids = {each.instance for each in record.machines if (each.gpu, each.market) == (gpu, market)}
            seen = [
                (each.last_step - each.first_step + 1, each.seconds_per_step)
                for each in record.parts
                if each.instance in ids and each.seconds_per_step
            ]
            steps = sum(count for count, _ in seen)
            if steps < _LEAST_STEPS:
                continue
            step = sum(count * seconds for count, seconds in seen) / steps
            seconds = step / job.images * together(job)
            table = pace(Terms(gpu=gpu, gpus=job.gpus, price=0), job, Experience())
            yield Measured(
                record.run, gpu, record.kind, str(market), seconds, table, seconds / shape_factor(job)
            )


def learned(records: Iterable[Record], market: str) -> Experience:
    """Return what the runs on machines of that market teach: speeds, and how long bids live.

    Every loss of an interruptible machine counts as one to another renter: why it was lost is not known.
    """
    records = list(records)
    found: dict[str, list[float]] = {}
    for each in measured(records):
        if each.market == market:
            found.setdefault(key(each.gpu, each.kind), []).append(log(each.usual))
    bids = [
        (record, each)
        for record in records
        for each in record.machines
        if each.interruptible and each.market == market
    ]
    return Experience(
        speeds={
            name: Speed(seconds=exp(fmean(logs)), runs=len(logs)) for name, logs in sorted(found.items())
        },
        bid_hours=sum(_hours(record, each) for record, each in bids),
        outbid=sum(1 for _, each in bids if each.released and each.why),
    )


def _hours(record: Record, machine: Machine) -> float:
    """Return the hours that a machine served the run, as far as they are over."""
    end = machine.released or record.ended
    return max(0.0, (end - machine.rented).total_seconds() / 3600) if end else 0.0
