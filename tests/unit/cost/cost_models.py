"""Works, terms and experiences: one of each by hand, and hypothesis strategies for all that can be."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from components.cost.experience import Experience, Speed
from components.cost.speeds import key, listed
from components.cost.terms import Terms
from components.cost.work import Work
from components.spec.gpus import VRAM


def work(**changed: Any) -> Work:
    """Return a LoRA of 2000 shown images, with some values changed."""
    values = {
        "kind": "lora",
        "images": 2000,
        "batch": 4,
        "saves": 10,
        "disk": 60,
        "image": 8.2,
        "fetched": 10.4,
        "sent": 0.2,
        "returned": 1.7,
        "setup": 280,
    }
    return Work.model_validate({**values, **changed})


def terms(**changed: Any) -> Terms:
    """Return the terms of an RTX 4090 on demand, with some values changed."""
    values = {
        "gpu": "RTX 4090",
        "dlperf": 98,
        "price": 0.42,
        "storage": 0.15,
        "up_cost": 0.01,
        "down_cost": 0.005,
        "up": 300,
        "down": 800,
        "reliability": 0.99,
    }
    return Terms.model_validate({**values, **changed})


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Return the floats between two, and both."""
    return st.floats(low, high, allow_nan=False)


GPUS = st.sampled_from([*listed(), *VRAM, "RTX 7090"])

TRAININGS = st.builds(
    Work,
    kind=st.sampled_from(["lora", "full"]),
    images=numbers(1, 1e7),
    megapixels=numbers(0.06, 4),
    batch=st.integers(1, 64),
    checkpointing=st.booleans(),
    gpus=st.integers(1, 8),
    saves=st.integers(1, 1000),
    disk=numbers(1, 2000),
    image=numbers(0, 50),
    fetched=numbers(0, 1000),
    sent=numbers(0, 1000),
    state=numbers(0, 50),
    returned=numbers(0, 1000),
    setup=numbers(0, 7200),
)
SERVICES = st.builds(
    Work, kind=st.just("up"), hours=numbers(0, 8760), disk=numbers(1, 2000), fetched=numbers(0, 1000)
)
WORKS = TRAININGS | SERVICES

TERMS = st.builds(
    Terms,
    gpu=GPUS,
    gpus=st.integers(1, 8),
    dlperf=st.just(0) | numbers(1, 5000),
    price=numbers(0, 128),
    min_bid=st.none() | numbers(0, 128),
    storage=numbers(0, 5),
    up_cost=numbers(0, 1),
    down_cost=numbers(0, 1),
    up=numbers(0, 10_000),
    down=numbers(0, 10_000),
    reliability=numbers(0, 1),
    hours_left=st.none() | numbers(0, 10_000),
)
BIDDABLE = TERMS.filter(lambda each: each.min_bid is not None and each.min_bid >= 0.001)

SPEEDS = st.builds(Speed, seconds=numbers(0.05, 10), runs=st.integers(1, 1000))
EXPERIENCES = st.builds(
    Experience,
    speeds=st.dictionaries(st.builds(key, GPUS, st.sampled_from(["lora", "full"])), SPEEDS, max_size=3),
    bid_hours=numbers(0, 10_000),
    outbid=st.integers(0, 1000),
)
