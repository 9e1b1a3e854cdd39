"""The jobs of the replay: what each asks for, on the guide's conditions and on ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from components.cost.experience import Experience
from components.cost.images import image_gb
from components.cost.speeds import pace
from components.cost.survival import hazard
from components.cost.terms import Terms
from components.cost.work import Work
from components.kohya.memory import BASE_GB, Shape, checkpoint_gb, state_gb
from components.kohya.resume import interval
from components.spec import gpus
from components.spec.node import Node

_IMAGE: Final = "vastai/pytorch:2.7.1-cu128-py311"
_GUIDE: Final[dict[str, Any]] = {"image": _IMAGE, "max_price": 3.0, "reliability": 0.0}
"""The guide names no reliability; verified hosts are what Vast.ai's page shows."""


@dataclass(frozen=True)
class Case:
    """One job.

    Attributes:
        name: for the table.
        node: what may be rented.
        guide: the guide's filter for the same job.
        work: on the smallest GPU that `node` allows.
        guide_work: on the 40 GB that the guide asks for, where nobody saves more than checkpoints.
        hours: from the start to the deadline.
    """

    name: str
    node: Node
    guide: Node
    work: Work
    guide_work: Work
    hours: float | None = None


def lora(shown: int, hours: float | None = None) -> Case:
    """Return a LoRA of rank 32 that is shown `shown` images of 1024 pixels in 10 epochs."""
    shape = Shape(32, False, True, "AdamW8bit", 4, 1024, True, False, False, 1)
    node = Node.model_validate({"preset": "lora", "bid": "auto"})
    guide = Node.model_validate({
        **_GUIDE, "gpu": {"models": ["A100"], "vram": 40}, "disk": 60, "cpu": 4,
        "internet": {"down": 50, "up": 0},
    })  # fmt: skip
    work = _work(shape, shown, epochs=10, files=40, node=node)
    return Case(f"LoRA, {shown} images", node, guide, work, _guided(work, checkpointing=False), hours)


def full(files: int, epochs: int, hours: float | None = None) -> Case:
    """Return a full fine-tune on `files` images of 1024 pixels."""
    shape = Shape(0, False, True, "Adafactor", 4, 1024, True, True, True, 1)
    node = Node.model_validate({"preset": "finetune", "bid": "auto"})
    guide = Node.model_validate({
        **_GUIDE, "gpu": {"models": ["A100"], "vram": 40}, "disk": 120, "cpu": 8,
        "internet": {"down": 100, "up": 0},
    })  # fmt: skip
    work = _work(shape, files * epochs, epochs=epochs, files=files, node=node)
    return Case(
        f"fine-tune, {files * epochs} images", node, guide, work, _guided(work, checkpointing=True), hours
    )


def _guided(work: Work, *, checkpointing: bool) -> Work:
    """Return the work for who rents on demand: no states are saved, yet checkpoints are gone on from."""
    returned = work.returned - work.saves * work.state
    return work.model_copy(update={"returned": returned, "state": 0.0, "checkpointing": checkpointing})


def _work(shape: Shape, shown: int, *, epochs: int, files: int, node: Node) -> Work:
    """Return the work, saved as often as `components.kohya.derive` would have an interruptible run saved."""
    gb = state_gb(shape) + checkpoint_gb(shape)
    save = gb / 0.5 + gb * 0.01 / (node.max_price / 2) * 3600
    plain = Work(kind="lora" if shape.rank else "full", batch=shape.batch_size, disk=node.disk)
    names = [name for model in node.gpu.models for name in gpus.names(model)]
    slowest = max(pace(Terms(gpu=name, price=0), plain, Experience()).seconds for name in names)
    bid = Terms(gpu="", price=1.2, min_bid=1, reliability=node.reliability)
    every = interval(shown / epochs * slowest, save, 3600 / hazard(bid, Experience()), epochs)
    saves = -(-epochs // every)
    return plain.model_copy(
        update={
            "images": shown,
            "saves": saves,
            "image": image_gb(node.image),
            "fetched": 3.5 + BASE_GB,
            "sent": files * 0.002,
            "state": state_gb(shape),
            "returned": saves * gb,
            "setup": 240 + files * 0.2,
        }
    )


CASES: Final = (
    lora(2000), full(1000, 5), lora(8000), full(1500, 5, 12), lora(3000, 4), full(4000, 3), lora(25000, 24),
    full(300, 10), lora(12000), full(3000, 3, 24),
)  # fmt: skip
