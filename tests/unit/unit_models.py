"""Valid jobs, nodes, offers and instances: one of each by hand, and hypothesis strategies for all."""

from __future__ import annotations

from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from components.dataset import images
from components.dataset.check import Report
from components.dataset.declared import Declared
from components.kohya.derive import Settings, derive
from components.spec.dataset import Captions, Subset
from components.spec.gpus import VRAM, known, names
from components.spec.node import Node
from components.spec.train import TrainJob
from components.vast.wire import Instance, Offer

_ROOT = Path("images")
_MOST = 5000


def node(**changed: Any) -> Node:
    """Return a node for one RTX 4090 on demand, with some values changed."""
    values = {"gpu": {"models": ["RTX 4090"]}, "image": "vastai/pytorch", "disk": 60, "max_price": 2}
    return Node.model_validate({**values, **changed})


def train_job(**changed: Any) -> TrainJob:
    """Return a LoRA job with some of its parts changed."""
    rate = 5e-6 if changed.get("lora", {}) is None else 1e-4
    values = {
        "kind": "train",
        "name": "animal",
        "node": node(),
        "base_model": {"path": "/workspace/base.safetensors"},
        "dataset": {"path": "images"},
        "lora": {},
        "training": {"epochs": 2, "learning_rate": rate},
    }
    return TrainJob.model_validate({**values, **changed})


def found(job: TrainJob, count: int = 20, size: tuple[int, int] = (1024, 1024)) -> Declared:
    """Return the dataset of `job` as a folder of `count` images that nothing is wrong with."""
    if job.dataset.path is None:
        return Declared(job.dataset.subsets, free=False)
    captions = {name: getattr(job.dataset, name) for name in Captions.model_fields}
    repeats = job.dataset.repeats or 1
    subset = Subset.model_construct(**captions, folder=".", repeats=repeats, regularisation=False)
    read = images.Subset(_ROOT, repeats, images=_pictures(size)[:count])
    return Declared((subset,), job.dataset.repeats is None, Report((read,), ()), _ROOT)


@cache
def _pictures(size: tuple[int, int]) -> tuple[images.Image, ...]:
    return tuple(images.Image(_ROOT / f"{number}.png", *size) for number in range(_MOST))


def settings_of(job: TrainJob, count: int = 20) -> Settings:
    """Return what follows from `job` with 20 images."""
    return derive(job, found(job, count))


def roomy(job: TrainJob) -> TrainJob:
    """Return `job` on GPUs that any training fits in."""
    gpu = job.node.gpu.model_copy(update={"models": ("of a size unknown here",), "vram": None})
    return job.model_copy(update={"node": job.node.model_copy(update={"gpu": gpu})})


def offer(**changed: Any) -> Offer:
    """Return an offer that fits `node()`, with some values changed."""
    values = {
        "id": 1,
        "machine_id": 11,
        "gpu_name": "RTX 4090",
        "num_gpus": 1,
        "gpu_ram": 24564,
        "cpu_cores_effective": 16,
        "cpu_ram": 64000,
        "disk_space": 500,
        "inet_down": 800,
        "inet_up": 400,
        "dph_total": 0.5,
        "dph_base": 0.4875,
        "min_bid": 0.2,
        "storage_cost": 0.15,
        "reliability": 0.99,
        "verification": "verified",
        "rentable": True,
        "geolocation": "Hesse, DE",
        "cuda_max_good": 12.8,
        "direct_port_count": 10,
    }
    return Offer.model_validate({**values, **changed})


def instance(**changed: Any) -> Instance:
    """Return a running RTX 4090, with some values changed."""
    values = {
        "id": 5,
        "machine_id": 11,
        "actual_status": "running",
        "intended_status": "running",
        "cur_state": "running",
        "gpu_name": "RTX 4090",
        "num_gpus": 1,
        "gpu_ram": 24564,
        "driver_version": "570.124.04",
    }
    return Instance.model_validate({**values, **changed})


def _mapping(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def _numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)
"""Any text that a person can type into a YAML file."""

DURATIONS = st.tuples(st.integers(1, 99) | _numbers(1, 99), st.sampled_from("smh")).map(
    lambda parts: f"{parts[0]:.6f}{parts[1]}"
)


@st.composite
def _gpu(draw: st.DrawFn) -> dict[str, Any]:
    models = draw(st.lists(st.sampled_from(known()), min_size=1, max_size=3))
    largest = max(size for model in models for name in names(model) for size in VRAM[name])
    optional = {"count": st.integers(1, 16), "vram": _numbers(1, largest), "cuda": _numbers(11, 20)}
    return {"models": models, **draw(_mapping({}, optional))}


WAITS = st.integers(1, 25).map(lambda minutes: f"{minutes}m")
"""Two of them leave time within the hour that a GPU may be idle."""

COUNTRIES = st.from_regex("[A-Z]{2}", fullmatch=True).filter(lambda code: code not in ("UK", "EU"))

BUDGETS = _mapping(
    {},
    {
        "max_total": _numbers(0.01, 1e5),
        "deadline": st.just("720h") | st.datetimes(timezones=st.just(UTC)).map(str),
        "slack": _numbers(0, 2),
        "lease": st.sampled_from(["off", False, "24h", "90.5h"]),
        "idle": st.sampled_from(["off", False, "24h"]),
        "at_end": st.sampled_from(["stop", "destroy"]),
    },
)


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    """Any valid node."""
    gpu = draw(_gpu())
    price = draw(_numbers(0.01, min(10 * gpu.get("count", 1), 128)))
    required = {
        "gpu": st.just(gpu),
        "image": TEXT.filter(bool),
        "disk": _numbers(8, 8191),
        "max_price": st.just(price),
    }
    optional = {
        "cpu": st.integers(1, 256),
        "ram": _numbers(1, 8191),
        "internet": _mapping({}, {"down": _numbers(0, 1e5), "up": _numbers(0, 1e5)}),
        "bid": _numbers(0.001, price) | st.just("auto"),
        "reliability": _numbers(0, 1),
        "verified": st.booleans(),
        "datacenter": st.booleans(),
        draw(st.sampled_from(["countries", "avoid"])): st.lists(COUNTRIES, max_size=3),
        "env": st.dictionaries(TEXT, TEXT, max_size=3),
        "label": st.text(
            st.characters(exclude_characters="{}", exclude_categories=["Cc", "Cs"]), max_size=60
        ),
        "adopt": st.integers(1, 2**40),
        "limits": _mapping({}, {"boot": DURATIONS, "ssh": WAITS, "attempts": st.integers(1, 20)}),
    }
    return Node.model_validate(draw(_mapping(required, optional)))


BASE_MODELS = st.one_of(
    st.fixed_dictionaries({"huggingface": st.just("a/b"), "file": st.just("c/d.safetensors")}),
    st.fixed_dictionaries(
        {"url": st.from_regex(r"https://[a-z]{1,9}(/[\w.%'?=&-]{0,9}){0,3}", fullmatch=True)}
    ),
    st.fixed_dictionaries({"path": st.from_regex(r"/workspace/[\w'$]{1,9}\.safetensors", fullmatch=True)}),
)


PROMPTS = _mapping(
    {"prompt": st.from_regex("[a-z][a-z ,'$]{0,40}", fullmatch=True)},
    {
        "negative": st.from_regex("[a-z ]{0,20}", fullmatch=True),
        "width": st.just(512),
        "cfg": _numbers(1, 30),
    },
)


@st.composite
def train_jobs(draw: st.DrawFn) -> TrainJob:
    """Any valid training job."""
    resolution = draw(st.integers(4, 32)) * 64
    scheduler = draw(st.sampled_from(["constant", "constant_with_warmup", "cosine", "linear"]))
    warmup = 0 if scheduler == "constant" else draw(st.integers(0, 500))
    least = draw(st.integers(8, resolution // 32)) * 32
    buckets = {
        "enabled": st.booleans(),
        "min": st.just(least),
        "max": st.integers(resolution // 32, 128).map(lambda times: times * 32),
        "step": st.integers(1, least // 32).map(lambda times: times * 32),
    }
    dataset = {
        "repeats": st.integers(1, 100),
        "caption_extension": st.sampled_from([".txt", ".caption"]),
        "class_tokens": TEXT,
        "keep_tokens": st.integers(0, 9),
        "shuffle_caption": st.booleans(),
        "caption_dropout": st.sampled_from([0, 0.1, 1]),
        "tag_dropout": st.sampled_from([0, 0.1, 1]),
        "flip_aug": st.booleans(),
    }
    training = {
        "epochs": st.integers(1, 1000),
        "learning_rate": _numbers(1e-9, 2),
        "keep_last": st.integers(1, 9),
        "save_state": st.booleans(),
        "processes": st.just(1),
        "on_oom": st.sampled_from(["fail", "smaller"]),
        "batch_size": st.integers(1, 64),
        "optimizer": st.sampled_from(["AdamW", "AdamW8bit", "Adafactor"]),
        "precision": st.sampled_from(["bf16", "fp16"]),
        "gradient_checkpointing": st.booleans(),
        "gradient_accumulation": st.integers(1, 16),
        "save_every_epochs": st.integers(1, 100),
        "seed": st.integers(0, 2**32 - 1),
        "first_step": WAITS,
    }
    lora = {"dim": st.integers(1, 512), "alpha": _numbers(0.001, 512), "text_encoders": st.booleans()}
    parts = _mapping(
        {
            "kind": st.just("train"),
            "name": st.from_regex("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
            "node": nodes(),
            "base_model": BASE_MODELS,
            "dataset": _mapping({"path": TEXT.filter(bool)}, dataset),
            "buckets": _mapping({name: buckets.pop(name) for name in ("min", "max", "step")}, buckets),
            "training": _mapping(
                {
                    "resolution": st.just(resolution),
                    "scheduler": st.just(scheduler),
                    "warmup_steps": st.just(warmup),
                },
                training,
            ),
        },
        {
            "budget": BUDGETS,
            "lora": _mapping({}, lora),
            "samples": _mapping({"prompts": st.lists(PROMPTS, min_size=1, max_size=3)}, {}),
            "extra": _mapping({}, {"max_grad_norm": _numbers(0, 1), "highvram": st.just(True)}),
        },
    )
    return TrainJob.model_validate(draw(parts))


@st.composite
def offers(draw: st.DrawFn) -> list[Offer]:
    """A market of offers with different ids, about half of which fit `node()`."""
    changes = _mapping(
        {},
        {
            "machine_id": st.integers(1, 6),
            "gpu_name": st.sampled_from(["RTX 4090", "RTX 4060"]),
            "num_gpus": st.sampled_from([1, 2]),
            "gpu_ram": st.sampled_from([8188.0, 24564.0]),
            "disk_space": st.sampled_from([20.0, 500.0]),
            "dph_base": _numbers(0.1, 4),
            "duration": st.sampled_from([None, 7200.0, 1e6]),
            "inet_up_cost": _numbers(0, 0.1),
            "inet_down_cost": _numbers(0, 0.1),
            "min_bid": _numbers(0.1, 2),
            "storage_cost": _numbers(0, 1),
            "reliability": st.sampled_from([0.5, 0.96, 0.99, 1.0]),
            "verification": st.sampled_from(["verified", "unverified", "deverified", None]),
            "rentable": st.booleans(),
            "direct_port_count": st.sampled_from([0, 1, 64]),
            "cuda_max_good": st.sampled_from([11.8, 12.4, 13.0]),
        },
    )
    return [offer(id=number, **changed) for number, changed in enumerate(draw(st.lists(changes, max_size=8)))]
