"""What is derived from VRAM and images: by tables, and by what must hold for every job."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from unit_models import found, node, settings_of, train_job, train_jobs

from components.errors import SpecError
from components.kohya.derive import Settings, derive
from components.kohya.fit import least_vram, smaller
from components.kohya.memory import Shape, vram_gb
from components.kohya.names import optimizer_of
from components.spec.node import Gpu
from components.spec.train import TrainJob

PLANNED = 0.92
"""Share of the VRAM that is planned for."""


def on(gb: float, job: TrainJob) -> TrainJob:
    """Return `job` on GPUs of so many GB; their model is unknown, so that any number can be asked for."""
    gpu = job.node.gpu.model_copy(update={"models": ("some GPU",), "vram": gb})
    return job.model_copy(update={"node": job.node.model_copy(update={"gpu": gpu})})


def settings_on(gb: float, job: TrainJob, images: int = 100) -> Settings:
    return derive(on(gb, job), found(job, images))


def job_of(kind: str, **training: Any) -> TrainJob:
    return train_job(lora={} if kind == "lora" else None, training=training)


def brief(shape: Shape) -> str:
    flags = {"checkpointed": shape.checkpointing, "fused": shape.fused, "bf16": shape.full_bf16}
    return " ".join(
        [shape.optimizer, str(shape.batch_size), *(name for name, is_on in flags.items() if is_on)]
    )


@pytest.mark.parametrize(
    ("kind", "gb", "shape"),
    [
        ("lora", 80, "AdamW8bit 4"),
        ("lora", 48, "AdamW8bit 4 checkpointed"),
        ("lora", 24, "AdamW8bit 4 checkpointed"),
        ("lora", 14, "AdamW8bit 4 checkpointed"),
        ("lora", 13.5, "AdamW8bit 2 checkpointed"),
        ("lora", 12, "AdamW8bit 2 checkpointed"),
        ("lora", 10, "AdamW8bit 1 checkpointed"),
        ("lora", 8, "Adafactor 1 checkpointed"),
        ("full", 80, "AdamW 8 checkpointed"),
        ("full", 48, "AdamW8bit 8 checkpointed"),
        ("full", 40, "AdamW8bit 4 checkpointed"),
        ("full", 24, "Adafactor 4 checkpointed fused"),
        ("full", 20, "Adafactor 2 checkpointed fused"),
        ("full", 18, "Adafactor 1 checkpointed fused"),
        ("full", 12, "Adafactor 1 checkpointed fused bf16"),
    ],
)
def test_the_shape_by_vram(kind: str, gb: float, shape: str) -> None:
    assert brief(settings_on(gb, job_of(kind)).shape) == shape


@pytest.mark.parametrize(
    ("training", "gb", "shape"),
    [
        ({"optimizer": "adafactor"}, 80, "Adafactor 8 checkpointed"),
        ({"optimizer": "Adafactor"}, 24, "Adafactor 4 checkpointed fused"),
        ({"optimizer": "AdamW"}, 52, "AdamW 2 checkpointed"),
        ({"fused": True}, 80, "Adafactor 8 checkpointed fused"),
        ({"full_bf16": True}, 24, "Adafactor 8 checkpointed fused bf16"),
        ({"fused": False}, 24, "Adafactor 1 checkpointed"),
        ({"gradient_accumulation": 2}, 24, "Adafactor 1 checkpointed"),
        ({"precision": "fp16"}, 48, "AdamW8bit 8 checkpointed"),
        ({"batch_size": 3}, 40, "AdamW8bit 3 checkpointed"),
    ],
)
def test_the_shape_around_what_is_asked_for(training: dict[str, Any], gb: float, shape: str) -> None:
    assert brief(settings_on(gb, job_of("full", **training)).shape) == shape


def test_more_than_images_there_are_is_no_batch() -> None:
    assert settings_on(80, job_of("full"), images=3).shape.batch_size == 3


@pytest.mark.parametrize(
    ("kind", "images", "repeats", "epochs", "rate"),
    [
        ("lora", 1, 200, 10, 1e-4),
        ("lora", 20, 10, 10, 1e-4),
        ("lora", 49, 4, 10, 1e-4),
        ("lora", 50, 4, 10, 2e-4),
        ("lora", 150, 1, 13, 2e-4),
        ("lora", 3000, 1, 3, 2e-4),
        ("full", 100, 1, 10, 2e-6),
        ("full", 299, 1, 10, 2e-6),
        ("full", 300, 1, 5, 5e-6),
        ("full", 3000, 1, 3, 5e-6),
    ],
)
def test_length_and_rate_by_images(kind: str, images: int, repeats: int, epochs: int, rate: float) -> None:
    derived = settings_on(80, job_of(kind), images)

    [subset] = derived.subsets
    assert (subset.repeats, derived.epochs, derived.learning_rate) == (repeats, epochs, rate)


@pytest.mark.parametrize("optimizer", ["Prodigy", "DAdaptAdam"])
def test_an_optimizer_that_finds_its_rate_gets_1(optimizer: str) -> None:
    assert settings_on(80, job_of("lora", optimizer=optimizer)).learning_rate == 1


def test_steps_become_the_nearest_whole_epochs() -> None:
    derived = settings_on(80, job_of("lora", steps=110, batch_size=4), images=100)

    assert (derived.epochs, derived.steps) == (4, 100)


@pytest.mark.parametrize(
    ("gpu", "gb"),
    [
        ({"models": ["RTX 3090"]}, 24),
        ({"models": ["A100"]}, 40),
        ({"models": ["A100"], "vram": 48}, 80),
        ({"models": ["RTX 4090", "RTX 3060"]}, 12),
        ({"models": ["RTX 4060 Ti"], "vram": 10}, 16),
        ({"models": ["a card of tomorrow"], "vram": 30}, 30),
        ({"models": ["a card of tomorrow"]}, 0),
    ],
)
def test_the_least_vram_that_the_market_may_bring(gpu: dict[str, Any], gb: float) -> None:
    assert least_vram(Gpu.model_validate(gpu)) == gb


def test_nothing_is_said_of_the_vram_of_an_unknown_gpu_but_that_it_is_unknown() -> None:
    job = train_job(node=node(gpu={"models": ["a card of tomorrow"]}), training={})

    assert derive(job, found(job)).notes[0].endswith("and how much the GPU has is not known here")


JOBS = train_jobs()
IMAGES = st.integers(1, 5000)
VRAM = st.integers(4, 200)


def possible(gb: float, job: TrainJob, images: int) -> Settings:
    """Return what is derived, where the job can be trained at all."""
    try:
        return settings_on(gb, job, images)
    except SpecError:
        assume(False)
        raise


@given(JOBS, IMAGES, VRAM)
def test_what_the_job_says_is_kept(job: TrainJob, images: int, gb: int) -> None:
    derived, training = possible(gb, job, images), job.training
    shape = derived.shape

    said = {
        "epochs": derived.epochs,
        "learning_rate": derived.learning_rate,
        "save_every_epochs": derived.save_every,
        "save_state": derived.save_state,
        "batch_size": shape.batch_size,
        "gradient_checkpointing": shape.checkpointing,
        "full_bf16": shape.full_bf16,
        "fused": shape.fused,
        "processes": shape.processes,
        "resolution": shape.resolution,
    }
    for field, value in said.items():
        assert getattr(training, field) in (None, value)
    assert shape.optimizer == optimizer_of({"optimizer_type": training.optimizer or shape.optimizer})
    assert [subset.repeats for subset in derived.subsets if job.dataset.repeats] in (
        [],
        [job.dataset.repeats],
    )
    assert (shape.rank, shape.text_encoders) == (
        (job.lora.dim, job.lora.text_encoders) if job.lora else (0, False)
    )


@given(JOBS, IMAGES, VRAM, VRAM)
def test_more_vram_never_gives_a_smaller_or_slower_setting(
    job: TrainJob, images: int, gb: int, more: int
) -> None:
    less, better = possible(gb, job, images).shape, possible(gb + more, job, images).shape

    assert better.batch_size >= less.batch_size
    assert better.checkpointing <= less.checkpointing
    assert better.full_bf16 <= less.full_bf16


@given(JOBS, IMAGES, VRAM)
def test_what_is_derived_fits_where_anything_does_and_otherwise_it_is_told(
    job: TrainJob, images: int, gb: int
) -> None:
    derived, training = possible(gb, job, images), job.training
    fits = vram_gb(derived.shape) <= PLANNED * gb
    smallest = replace(
        derived.shape,
        batch_size=training.batch_size or 1,
        checkpointing=training.gradient_checkpointing is not False,
        optimizer=derived.shape.optimizer if training.optimizer else "Adafactor",
    )

    assert any("this may not fit" in note for note in derived.notes) != fits
    assert fits or vram_gb(smallest) > PLANNED * gb


@given(JOBS.filter(lambda job: not job.training.steps), IMAGES)
def test_about_as_much_is_shown_as_is_aimed_at(job: TrainJob, images: int) -> None:
    assume(job.training.epochs is None)
    derived = possible(1000, job, images)
    [subset] = derived.subsets
    shown = derived.epochs * subset.repeats * images
    aimed = 2000 if job.lora else images * (10 if images < 300 else 5 if images < 3000 else 3)

    least = images * subset.repeats * (3 if job.lora else 1)
    assert shown <= max(2 * aimed, least)
    assert shown >= aimed / 2


@given(JOBS, IMAGES, VRAM)
def test_notes_name_what_was_derived_and_nothing_else(job: TrainJob, images: int, gb: int) -> None:
    derived, training = possible(gb, job, images), job.training
    shape = derived.shape

    noted = set()
    for note in derived.notes:
        head, why = note.split(": ", 1)
        assert len(why) > 5
        fields = re.split(r", (?=[a-z_]+)", why.partition(": ")[0]) if head == "training" else []
        noted |= {f"training.{field}" for field in fields} or {head}
    values = {
        "training.optimizer": (training.optimizer, shape.optimizer),
        "training.batch_size": (training.batch_size, shape.batch_size),
        "training.gradient_checkpointing": (training.gradient_checkpointing, shape.checkpointing),
        "training.fused": (training.fused, shape.fused),
        "training.full_bf16": (training.full_bf16, shape.full_bf16),
        "training.epochs": (training.epochs, derived.epochs),
        "training.learning_rate": (training.learning_rate, f"{derived.learning_rate:g}"),
        "training.save_state": (training.save_state, derived.save_state and "true"),
        "training.save_every_epochs": (
            training.save_every_epochs,
            derived.save_every if derived.save_every > 1 else False,
        ),
        "dataset.repeats": (
            job.dataset.repeats,
            derived.subsets[0].repeats > 1 and derived.subsets[0].repeats,
        ),
    }
    expected = {
        field if value is True else f"{field} {value}"
        for field, (given_, value) in values.items()
        if given_ is None and value is not False
    }
    assert noted - {"node.gpu"} == expected


@given(JOBS, IMAGES, VRAM)
def test_the_same_job_gives_the_same_settings(job: TrainJob, images: int, gb: int) -> None:
    assert possible(gb, job, images) == settings_on(gb, job.model_copy(deep=True), images)


@given(JOBS, IMAGES)
def test_each_smaller_shape_needs_less_and_shows_as_many_images_a_step(job: TrainJob, images: int) -> None:
    shape = possible(1000, job, images).shape
    accumulation = job.training.gradient_accumulation
    shown = shape.batch_size * accumulation
    while less := smaller(job, shape):
        after, accumulation = less
        training = job.training.model_copy(update={"gradient_accumulation": accumulation})
        job = job.model_copy(update={"training": training})

        assert after.batch_size * accumulation == shown
        assert vram_gb(after) <= vram_gb(shape)
        assert after.resolution < 512 or vram_gb(after) < vram_gb(shape)
        kept = {"batch_size": shape.batch_size, "checkpointing": shape.checkpointing}
        assert replace(after, **kept) == shape
        shape = after


def test_an_interruptible_run_saves_more_often_the_longer_an_epoch_can_take() -> None:
    def every(*models: str) -> int:
        rented = node(gpu={"models": models, "vram": 12}, bid=0.3, disk=200)
        training = {"epochs": 100, "batch_size": 1, "gradient_checkpointing": True}
        return settings_of(train_job(node=rented, training=training), 100).save_every

    assert every("RTX 3060") < every("RTX 3090") < every("H100 SXM")
    assert every("H100 SXM", "RTX 3060") == every("RTX 3060")
