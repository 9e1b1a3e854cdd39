"""A record with everything in it, built around texts that a test chooses."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from PIL import Image

from components.record.model import (
    Checkpoint,
    Cost,
    Event,
    Hashes,
    LossPoint,
    Machine,
    Part,
    Record,
    Sample,
    Versions,
)

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 26, 14, 2, tzinfo=UTC)


def record_of(text: Callable[[int], str] = "text {}".format, **changes: object) -> Record:
    """Build a record in which `text(0)`, `text(1)`, ... stand wherever a text may stand."""
    made = Record(
        run=text(0),
        job=text(1),
        kind="lora",
        status="failed",
        started=START,
        ended=START + timedelta(hours=2, minutes=3),
        versions=Versions(fragua=text(2), sd_scripts=text(3), torch=text(4), python=text(5)),
        settings={"name": text(6), "training": {"epochs": 3, "seed": None, "prompts": [text(7), text(8)]}},
        derived=("training.epochs 3: enough", text(9)),
        machines=(
            Machine(
                instance=1,
                gpu=text(10),
                gpus=2,
                price=0.31,
                country=text(11),
                rented=START,
                released=START + timedelta(hours=1),
                why=text(12),
            ),
            Machine(instance=2, gpu=text(13), gpus=1, price=0.35, rented=START + timedelta(hours=1)),
        ),
        cost=Cost(spent=0.94, predicted=1.2),
        hashes=Hashes(dataset=text(14), base_model=text(15), job=text(16)),
        parts=(
            Part(instance=1, first_epoch=1, last_epoch=2, first_step=1, last_step=14),
            Part(instance=2, first_epoch=2, last_epoch=3, first_step=11, last_step=30, resumed_from=text(17)),
        ),
        loss=tuple(
            LossPoint(step=step, loss=0.1 + step / 1000, learning_rate=1e-4)
            for step in (*range(1, 15), *range(11, 31))
        ),
        checkpoints=(
            Checkpoint(
                file="fox.safetensors",
                epoch=3,
                sha256="a" * 64,
                size=170,
                metadata={"ss_x": text(18)},
                wrong=(text(23),),
            ),
        ),
        samples=(
            Sample(file="sample/1.png", epoch=1, prompt=text(19)),
            Sample(file="sample/2.png", epoch=1, prompt=text(20)),
            Sample(file="sample/3.png", epoch=2, prompt=text(19)),
        ),
        events=(Event(time=START, text=text(21)), Event(time=START, text=text(22))),
    )
    return made.model_copy(update=changes)


TEXTS = 24
"""How many texts a record takes."""


def image(width: int = 640, height: int = 480, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((width, height)).save(file, kind)
    return file.getvalue()
