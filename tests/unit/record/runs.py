"""Records of trainings that tell how fast they were."""

from __future__ import annotations

from typing import Any

from records import START, record_of

from components.record.model import Machine, Part, Record

MARKET = "https://console.vast.ai"
SETTINGS: dict[str, Any] = {
    "node": {"gpu": {"models": ["RTX 4090"], "count": 1}, "disk": 60},
    "training": {
        "batch_size": 4,
        "gradient_accumulation": 2,
        "gradient_checkpointing": True,
        "resolution": 1024,
    },
}


def machine(instance: int = 1, **changed: Any) -> Machine:
    """Return an RTX 4090 on demand, with some values changed."""
    values = {
        "instance": instance,
        "gpu": "RTX 4090",
        "gpus": 1,
        "price": 0.5,
        "rented": START,
        "market": MARKET,
        "interruptible": False,
    }
    return Machine.model_validate({**values, **changed})


def part(seconds: float | None, instance: int = 1, steps: int = 100) -> Part:
    """Return a part of so many steps of so many seconds."""
    return Part(
        instance=instance,
        first_epoch=1,
        last_epoch=1,
        first_step=1,
        last_step=steps,
        seconds_per_step=seconds,
    )


def run(*parts: Part, **changed: Any) -> Record:
    """Return a LoRA of eight images a step, on one RTX 4090."""
    values = {"settings": SETTINGS, "machines": (machine(),), "parts": parts}
    return record_of(**{**values, **changed})
