"""What fragua says of the trainer's logs: nothing of a healthy one, the cause of each that failed."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from components.kohya.diagnosis import diagnose

if TYPE_CHECKING:
    from collections.abc import Callable

    from image_machine import Trainer

SMALL = ("NVIDIA GeForce RTX 4060", 8188)

Run = subprocess.CompletedProcess[str]


def log(done: Run) -> str:
    return done.stdout + done.stderr


def names(done: Run) -> list[str]:
    return [each.name for each in diagnose(log(done), done.returncode)]


def launched(trainer: Trainer, *more: str) -> Run:
    script = trainer.installed / "sd-scripts/sdxl_train_network.py"
    return trainer.launch("--num_processes", "1", script, *trainer.lora_arguments(*more))


HEALTHY: dict[str, Callable[[Trainer], Run]] = {
    "a LoRA": lambda trainer: trainer.lora(),
    "a whole model": lambda trainer: trainer.full(),
    "through accelerate": launched,
    "what is ignored": lambda trainer: trainer.lora("--clip_skip", "2", "--zero_terminal_snr"),
    "no prompt file": lambda trainer: trainer.lora(
        "--sample_every_n_steps", "5", "--sample_prompts", "none.txt"
    ),
    "fp16 with the VAE in fp32": lambda trainer: trainer.lora("--mixed_precision", "fp16", "--no_half_vae"),
    "saved often": lambda trainer: trainer.lora("--save_every_n_steps", "5", "--save_state"),
    "narrow lines": lambda trainer: trainer.lora(env={"COLUMNS": "80"}),
}


@pytest.mark.parametrize("run", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_log_means_nothing_wherever_it_is_read(
    trainer: Trainer, run: Callable[[Trainer], Run]
) -> None:
    done = run(trainer)
    text = log(done)

    assert done.returncode == 0
    assert diagnose(text, 0) == []
    for end in (match.end() for match in re.finditer(r"[\r\n]", text)):
        assert diagnose(text[:end]) == []


def cut_off(trainer: Trainer) -> Run:
    image = trainer.images / "3.png"
    image.write_bytes(image.read_bytes()[:-20])
    return trainer.lora()


def empty(trainer: Trainer) -> Run:
    for image in trainer.images.glob("*.png"):
        image.unlink()
    return trainer.lora()


def out_of_memory(trainer: Trainer) -> Run:
    trainer.machine.with_gpus(SMALL)
    return launched(trainer, "--optimizer_type", "AdamW", "--network_dim", "256", "--train_batch_size", "8")


def out_of_host_memory(trainer: Trainer, run: Callable[[Trainer], Run]) -> Run:
    trainer.machine.write_facts(ram_mib=12_000)
    return run(trainer)


def with_dataset(trainer: Trainer, old: str, new: str) -> Run:
    path = trainer.dataset()
    path.write_text(path.read_text().replace(old, new))
    return trainer.lora(env={"COLUMNS": "80"})


def with_old_driver(trainer: Trainer) -> Run:
    trainer.machine.with_gpus(SMALL, driver="470.82.01", cuda="11.4")
    return trainer.lora()


FAILED: dict[str, tuple[Callable[[Trainer], Run], str]] = {
    "no images": (empty, "no-data"),
    "no images, narrow lines": (lambda trainer: with_dataset(trainer, "images", "nothing"), "no-data"),
    "an image that is cut off": (cut_off, "image-broken"),
    "GPU memory, through accelerate": (out_of_memory, "gpu-memory"),
    "host memory": (lambda trainer: out_of_host_memory(trainer, lambda it: it.lora()), "host-memory"),
    "host memory, through accelerate": (lambda trainer: out_of_host_memory(trainer, launched), "host-memory"),
    "an option of the other script": (
        lambda trainer: trainer.full("--network_dim", "8"),
        "option-of-another-script",
    ),
    "an option of the other script, through accelerate": (
        lambda trainer: launched(trainer, "--block_lr", "1"),
        "option-of-another-script",
    ),
    "75 tokens": (lambda trainer: trainer.lora("--max_token_length", "75"), "value-of-option"),
    "a path that is no file": (
        lambda trainer: trainer.lora("--pretrained_model_name_or_path", "/models/cat", env={"COLUMNS": "80"}),
        "model-not-found",
    ),
    "an unknown key": (lambda trainer: with_dataset(trainer, "num_repeats", "repeats"), "dataset-key"),
    "a whole number": (
        lambda trainer: with_dataset(trainer, "batch_size = 2", "batch_size = 2\nvalidation_split = 0"),
        "dataset-value",
    ),
    "an old driver": (with_old_driver, "driver-too-old"),
    "latents in fp16": (lambda trainer: trainer.lora("--mixed_precision", "fp16"), "loss-nan"),
    "latents in fp16 without a cache": (
        lambda trainer: trainer.lora("--mixed_precision", "fp16", without=("cache_latents",)),
        "latents-zeroed",
    ),
    "no xformers": (lambda trainer: trainer.lora("--xformers", without=("sdpa",)), "xformers-missing"),
}


@pytest.mark.parametrize(("run", "name"), FAILED.values(), ids=FAILED)
def test_the_cause_of_a_failure_comes_first(
    trainer: Trainer, run: Callable[[Trainer], Run], name: str
) -> None:
    assert names(run(trainer))[0] == name
