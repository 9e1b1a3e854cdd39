"""Machines for the tests of the image: a fresh one for each test, and one installation for all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from image_machine import IMAGE, Machine, Trainer, make_machine

if TYPE_CHECKING:
    from pathlib import Path

# What the image's own programs import, for the tests that look at one function alone.
sys.path += [str(IMAGE / "lib/dist-packages"), str(IMAGE / "lib/stand-ins"), str(IMAGE / "sd-scripts")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path / "machine")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment, a clone and a base model, made once and never written to again."""
    machine = make_machine(tmp_path_factory.mktemp("installed") / "machine")
    for command in (
        ("uv", "venv", "-q", "venv"),
        (
            *("uv", "pip", "install", "-q", "--python", "venv", "torch==2.7.1", "torchvision"),
            *("--index-url", "https://download.pytorch.org/whl/cu128"),
        ),
        ("git", "clone", "-q", "--depth", "1", "https://github.com/kohya-ss/sd-scripts"),
        (
            *("curl", "-sfL", "-o", "base.safetensors"),
            "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/sd_xl_base_1.0.safetensors",
        ),
    ):
        done = machine.run(*command)
        assert done.returncode == 0, done.stderr
    requirements = ("uv", "pip", "install", "-q", "--python", "../venv", "-r", "requirements.txt")
    done = machine.run(*requirements, cwd=machine.home / "sd-scripts")
    assert done.returncode == 0, done.stderr
    return machine.home


@pytest.fixture
def trainer(machine: Machine, installed: Path) -> Trainer:
    trainer = Trainer(machine, installed)
    for index in range(10):
        trainer.add_image(f"{index}.png", caption=f"a cat, photo {index}")
    trainer.dataset()
    return trainer
