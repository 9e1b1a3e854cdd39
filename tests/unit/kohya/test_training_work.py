"""What a training asks of its machine: its images, its parts, and what crosses the network."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_models import found, node, settings_of, train_job

from components.cost.work import Work
from components.kohya.derive import derive
from components.kohya.memory import BASE_GB, checkpoint_gb, state_gb
from components.kohya.work import work
from components.remote.manifest import File, Manifest

HERE = Manifest((File("1.png", 300_000_000, "0" * 64), File("2.png", 200_000_000, "1" * 64)))
ELSEWHERE = {"archive": {"url": "https://example.org/images.zip"}}


def asked(images: int = 20, manifest: Manifest | None = HERE, **changed: Any) -> Work:
    job = train_job(**changed)
    return work(job, settings_of(job, images), manifest)


@given(st.integers(1, 300), st.integers(1, 20), st.integers(1, 8), st.integers(1, 4))
def test_every_shown_image_is_counted(images: int, epochs: int, batch: int, accumulation: int) -> None:
    training = {
        "epochs": epochs,
        "batch_size": batch,
        "gradient_accumulation": accumulation,
        "resolution": 768,
    }
    job = train_job(
        node=node(gpu={"models": ["H200"]}), dataset={"path": "i", "repeats": 2}, training=training
    )
    found_work = work(job, derive(job, found(job, images)), HERE)

    assert 2 * images * epochs <= found_work.images < (2 * images + batch * accumulation) * epochs
    assert (found_work.batch, found_work.gpus) == (batch, 1)
    assert found_work.megapixels == 0.75**2
    assert found_work.assumed == ()


def test_what_crosses_the_network() -> None:
    local = asked(base_model={"local": "/models/base.safetensors"})
    hub = asked(base_model={"huggingface": "a/b", "file": "c.safetensors"})
    there = asked()

    assert local.sent == pytest.approx(0.5 + BASE_GB)
    assert hub.sent == there.sent == 0.5
    assert local.fetched == there.fetched
    assert hub.fetched == pytest.approx(there.fetched + BASE_GB)


@pytest.mark.parametrize(("every", "parts"), [(1, 10), (3, 4), (10, 1)])
def test_each_save_is_a_part_and_comes_home(every: int, parts: int) -> None:
    training = {"epochs": 10, "save_every_epochs": every, "save_state": True}
    job = train_job(training=training)
    shape = settings_of(job).shape

    found_work = asked(training=training)
    assert found_work.saves == parts
    assert found_work.state == state_gb(shape)
    assert found_work.returned == pytest.approx(parts * (checkpoint_gb(shape) + state_gb(shape)))
    assert asked(training={**training, "save_state": False}).state == 0


def test_samples_come_home_too() -> None:
    samples = {"every_epochs": 2, "prompts": [{"prompt": "a cat"}, {"prompt": "a dog"}]}
    training = {"epochs": 10}

    more = asked(training=training, samples=samples).returned - asked(training=training).returned
    assert more == pytest.approx(10 * 0.0015)


def test_a_dataset_that_nobody_counted_is_guessed_and_said() -> None:
    lora = asked(manifest=None, dataset=ELSEWHERE)
    full = asked(manifest=None, dataset=ELSEWHERE, lora=None, node=node(gpu={"models": ["H200"]}))

    assert lora.images == 200 * 2
    assert full.images == 1000 * 2
    assert lora.fetched > asked().fetched
    for each in (lora, full):
        assert "nobody has counted them" in each.assumed[0]
