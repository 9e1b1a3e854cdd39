"""Which trainings fit on which card, and how the others fail: the rows of the fact sheet, sections 5 and 11."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from image_machine import Trainer

RTX_4060 = ("NVIDIA GeForce RTX 4060", 8188)
RTX_3060 = ("NVIDIA GeForce RTX 3060", 12288)
RTX_4060_TI = ("NVIDIA GeForce RTX 4060 Ti", 16380)
RTX_4090 = ("NVIDIA GeForce RTX 4090", 24564)
A100_40 = ("NVIDIA A100-SXM4-40GB", 40960)
A100_80 = ("NVIDIA A100-SXM4-80GB", 81920)
H100 = ("NVIDIA H100 80GB HBM3", 81559)

DIM_64 = ("--network_dim", "64", "--optimizer_type", "AdamW")
NO_FUSION = ("fused_backward_pass",)
MIXED = ("fused_backward_pass", "full_bf16")
GUIDE = ("gradient_checkpointing", *MIXED)  # "optional" in the guide

CASES = [
    ("lora", RTX_4060, 1, ("--network_dim", "8"), (), True, "8 GB: rank 8, everything cached"),
    ("lora", RTX_4060, 4, ("--network_dim", "32"), (), False, "8 GB: batch 4 is too much"),
    ("lora", RTX_3060, 1, DIM_64, (), True, "12 GB: rank 64 at batch 1"),
    ("lora", RTX_4090, 1, (), ("gradient_checkpointing",), True, "24 GB: LoRA without checkpointing"),
    ("lora", RTX_4090, 4, (), ("gradient_checkpointing",), False, "24 GB: four images without checkpointing"),
    ("full", RTX_3060, 1, (), (), True, "12 GB: bf16, fused Adafactor"),
    ("full", RTX_4060_TI, 1, (), NO_FUSION, True, "16 GB: bf16 Adafactor"),
    ("full", RTX_4090, 16, (), (), True, "24 GB: fused bf16 at batch 16"),
    ("full", RTX_4090, 20, (), (), False, "24 GB: fused bf16 at batch 20"),
    ("full", RTX_4090, 1, (), MIXED, True, "24 GB: mixed precision Adafactor at batch 1"),
    ("full", RTX_4090, 6, (), ("full_bf16",), True, "24 GB: mixed fused at batch 6"),
    ("full", RTX_4090, 8, (), ("full_bf16",), False, "24 GB: mixed fused at batch 8"),
    (
        "full",
        RTX_4090,
        1,
        ("--optimizer_type", "AdamW8bit"),
        MIXED,
        False,
        "24 GB: AdamW8bit does not seem to work",
    ),
    ("full", RTX_4090, 1, ("--optimizer_type", "Prodigy"), MIXED, False, "24 GB: Prodigy"),
    ("full", A100_40, 4, ("--optimizer_type", "AdamW8bit"), MIXED, True, "40 GB: AdamW8bit at batch 4"),
    ("full", A100_40, 2, ("--optimizer_type", "AdamW8bit"), GUIDE, False, "40 GB: the guide's batch 2"),
    ("full", A100_80, 8, ("--optimizer_type", "AdamW"), MIXED, True, "80 GB: AdamW at batch 8"),
    ("full", H100, 16, ("--optimizer_type", "AdamW"), MIXED, True, "80 GB: AdamW at batch 16"),
]


@pytest.mark.parametrize(
    ("kind", "card", "batch", "more", "without", "fits", "why"), CASES, ids=[case[-1] for case in CASES]
)
def test_a_training_fits_or_not_as_reported(
    trainer: Trainer,
    kind: str,
    card: tuple[str, int],
    batch: int,
    more: tuple[str, ...],
    without: tuple[str, ...],
    fits: bool,
    why: str,
) -> None:
    trainer.machine.with_gpus(card)
    path = trainer.dataset(subset="")
    path.write_text(
        path.read_text()
        .replace("batch_size = 2", f"batch_size = {batch}")
        .replace("repeats = 2", "repeats = 4")
    )
    run = trainer.lora if kind == "lora" else trainer.full
    done = run("--max_train_epochs", "1", "--save_precision", "fp16", *more, without=without)

    assert (done.returncode == 0) is fits, why
    if not fits:
        assert "torch.OutOfMemoryError: CUDA out of memory." in done.stderr


def test_the_out_of_memory_error_is_cudas_own(trainer: Trainer) -> None:
    trainer.machine.with_gpus(RTX_4060)
    trainer.dataset()
    done = trainer.lora(without=("gradient_checkpointing",))

    assert done.returncode == 1
    pattern = (
        r"torch\.OutOfMemoryError: CUDA out of memory\. Tried to allocate [\d.]+ MiB\. GPU 0 has a total capacity of "
        r"7\.\d\d GiB of which [\d.]+ MiB is free\. Including non-PyTorch memory, this process has 7\.\d\d GiB memory in use\."
    )
    assert re.search(pattern, done.stderr)
    assert done.stderr.rstrip().splitlines()[-1].startswith("steps:   0%|")


def test_optimizer_states_come_with_the_second_step(trainer: Trainer) -> None:
    trainer.machine.with_gpus(A100_40)
    done = trainer.full("--optimizer_type", "AdamW", without=MIXED)

    assert "torch.OutOfMemoryError" in done.stderr
    assert " 1/20 " in done.stderr


def test_another_process_on_the_card_takes_its_share(trainer: Trainer) -> None:
    gpu = trainer.home / "run/gpu"
    gpu.mkdir()
    (gpu / str(os.getpid())).write_text('{"name": "python3", "memory_mib": {"0": 20000}, "utilization": 0}')

    assert "torch.OutOfMemoryError" in trainer.lora().stderr


def test_too_little_host_memory_kills_without_a_word(trainer: Trainer) -> None:
    trainer.machine.write_facts(ram_mib=12_000)
    done = trainer.lora()
    assert done.returncode == -9
    assert "Traceback" not in done.stderr

    assert trainer.lora("--lowram").returncode == 0
    launched = trainer.launch(
        *("--num_processes", "1", trainer.installed / "sd-scripts/sdxl_train_network.py"),
        *trainer.lora_arguments(),
    )
    assert launched.returncode == 1
    assert "died with <Signals.SIGKILL: 9>." in launched.stderr


def test_several_gpus_need_room_for_the_gradient_buckets(trainer: Trainer) -> None:
    trainer.machine.with_gpus(A100_40, A100_40)
    path = trainer.dataset()
    path.write_text(path.read_text().replace("batch_size = 2", "batch_size = 4"))
    arguments = trainer.full_arguments(
        "--optimizer_type", "AdamW8bit", "--save_precision", "fp16", without=MIXED
    )
    script = trainer.installed / "sd-scripts/sdxl_train.py"

    assert trainer.launch("--num_processes", "1", script, *arguments).returncode == 0
    two = trainer.launch("--multi_gpu", "--num_processes", "2", script, *arguments)
    assert two.returncode == 1
    assert "torch.OutOfMemoryError" in two.stderr
    lean = (*arguments, "--ddp_gradient_as_bucket_view")
    assert trainer.launch("--multi_gpu", "--num_processes", "2", script, *lean).returncode == 0
