"""What serving asks of a machine: to be up so long, with its models there."""

from __future__ import annotations

from typing import Any

import pytest

from components.comfyui.work import work
from components.cost.images import image_gb
from components.cost.work import Work
from components.spec.infer import InferJob

BASE = {"huggingface": "me/sdxl", "file": "base.safetensors"}


def asked(uploaded: int = 0, models: dict[str, Any] | None = None, **changed: Any) -> Work:
    values = {
        "kind": "infer",
        "node": {"gpu": {"models": ["RTX 4090"]}, "image": "vastai/comfy:x", "disk": 40, "max_price": 1},
        "models": {"checkpoint": BASE, **(models or {})},
    }
    return work(InferJob.model_validate({**values, **changed}), uploaded)


def test_it_is_up_for_the_hours_of_the_budget() -> None:
    job = asked(budget={"hours": 8})

    assert (job.kind, job.hours, job.images, job.disk) == ("up", 8, 0, 40)
    assert job.image == image_gb("vastai/comfy") == image_gb("docker.io/vastai/comfy:v0.3")


def test_what_the_machine_downloads_and_what_this_computer_sends() -> None:
    lora = {"loras": {"cat": {"local": "cat.safetensors"}, "dog": {"train": "dog"}}}
    there = asked(models={"vae": {"path": "/workspace/vae.safetensors"}})

    assert asked(models={"refiner": BASE}).fetched == pytest.approx(asked().fetched + 6.08)
    assert there.fetched == asked().fetched
    assert asked(uploaded=500_000_000, models=lora).sent == pytest.approx(0.5 + 0.2)
    assert asked().sent == 0


def test_an_install_of_its_own_takes_longer_and_downloads_more() -> None:
    own, template = asked(comfyui={"install": "own"}), asked()

    assert own.fetched > template.fetched + 3
    assert own.setup > template.setup


def test_an_unknown_image_is_taken_for_one_of_middling_size() -> None:
    assert image_gb("ubuntu:22.04") < image_gb("me/mine:1") < image_gb("vastai/kohya")
