"""What a training is said to take agrees with what was observed, and with the simulator's own reckoning."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.kohya.memory import Shape, checkpoint_gb, disk_gb, state_gb, static_gb, vram_gb

IMAGE = Path(__file__).parents[3] / "simulator/image"

LORA = Shape(
    rank=32,
    text_encoders=False,
    text_cached=True,
    optimizer="AdamW8bit",
    batch_size=1,
    resolution=1024,
    checkpointing=True,
    full_bf16=False,
    fused=False,
    processes=1,
)
FULL = replace(LORA, rank=0, optimizer="AdamW")
LEAN = replace(FULL, optimizer="Adafactor", fused=True, full_bf16=True)

SETTINGS = {
    "a LoRA": LORA,
    "a LoRA in batches": replace(LORA, batch_size=4),
    "a LoRA without checkpointing": replace(LORA, batch_size=2, checkpointing=False),
    "a LoRA with text encoders": replace(LORA, text_encoders=True, text_cached=False, batch_size=16),
    "a small LoRA": replace(LORA, rank=4, optimizer="Adafactor", resolution=768),
    "in full": FULL,
    "in full with 8 bits": replace(FULL, optimizer="AdamW8bit", batch_size=4),
    "in full, paged": replace(FULL, optimizer="PagedAdamW8bit", text_cached=False),
    "in full, fused": replace(FULL, optimizer="Adafactor", fused=True, batch_size=4),
    "in full, fused, in bf16": replace(LEAN, batch_size=2),
    "in full by Prodigy, in bf16": replace(FULL, optimizer="Prodigy", full_bf16=True),
    "in full without checkpointing": replace(FULL, checkpointing=False, batch_size=2),
}

SIMULATED = """
import json, sys
from argparse import Namespace
from library.memory import demand

for shape in json.load(sys.stdin):
    args = Namespace(**shape, mixed_precision="bf16", full_fp16=False, fp8_base=False, fp8_base_unet=False,
        cache_text_encoder_outputs=shape["text_cached"], cache_latents=True, no_half_vae=True,
        fused_backward_pass=shape["fused"], fused_optimizer_groups=None, use_8bit_adam=False,
        use_lion_optimizer=False, optimizer_type=shape["optimizer"], sdpa=True, xformers=False,
        mem_eff_attn=False, gradient_checkpointing=shape["checkpointing"], ddp_gradient_as_bucket_view=True)
    need = demand(args, full=not shape["rank"], trains_text=shape["text_encoders"], rank=shape["rank"],
        processes=shape["processes"])
    print(need.peak(shape["batch_size"], shape["resolution"] ** 2, first=False) / 1e9)
"""


@pytest.fixture(scope="module")
def simulated() -> dict[str, float]:
    """GB that the simulator's sd-scripts takes, by setting; it shares no code with fragua."""
    folders = f"{IMAGE}/lib/dist-packages:{IMAGE}/sd-scripts"
    shapes = json.dumps([vars(shape) for shape in SETTINGS.values()])
    command = [sys.executable, "-c", SIMULATED]
    env = {"PYTHONPATH": folders, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, input=shapes, env=env, capture_output=True, text=True, check=True)
    return dict(zip(SETTINGS, map(float, done.stdout.split()), strict=True))


@pytest.mark.parametrize("name", SETTINGS)
def test_the_estimate_agrees_with_the_simulator(name: str, simulated: dict[str, float]) -> None:
    assert vram_gb(SETTINGS[name]) == pytest.approx(simulated[name], rel=0.15)


@pytest.mark.parametrize(
    ("shape", "gb"),
    [
        (FULL, 41),
        (replace(FULL, optimizer="AdamW8bit"), 26),
        (replace(FULL, optimizer="Adafactor"), 21),
        (replace(FULL, optimizer="AdamW8bit", full_bf16=True), 15.4),
    ],
)
def test_weights_gradients_and_states_are_those_of_the_table(shape: Shape, gb: float) -> None:
    """0.7 GB are CUDA's own."""
    assert static_gb(shape) - 0.7 == pytest.approx(gb, rel=0.02)


@pytest.mark.parametrize(
    ("shape", "gb"),
    [
        (replace(LORA, rank=8, optimizer="Adafactor"), 8),
        (replace(LORA, rank=64), 12),
        (replace(LORA, batch_size=4), 16),
        (LEAN, 10.5),
        (replace(LEAN, fused=False), 16),
        (replace(LEAN, batch_size=16), 24),
        (replace(LEAN, full_bf16=False), 16.4),
        (replace(LEAN, full_bf16=False, batch_size=6), 24),
        (replace(LEAN, full_bf16=False, fused=False), 24),
        (replace(FULL, optimizer="AdamW8bit", batch_size=4), 40),
        (replace(FULL, batch_size=8), 80),
    ],
)
def test_what_people_have_trained_is_not_said_to_be_far_too_large(shape: Shape, gb: float) -> None:
    assert vram_gb(shape) < 1.08 * gb


@pytest.mark.parametrize(
    ("shape", "gb"),
    [
        (replace(FULL, optimizer="Prodigy"), 24),
        (replace(FULL, optimizer="AdamW8bit"), 24),
        (replace(LORA, rank=32, text_encoders=True, text_cached=False, batch_size=16), 12),
    ],
)
def test_what_people_have_failed_with_is_said_to_be_too_large(shape: Shape, gb: float) -> None:
    assert vram_gb(shape) > gb


SHAPES = st.builds(
    Shape,
    rank=st.sampled_from([0, 4, 32, 256]),
    text_encoders=st.booleans(),
    text_cached=st.booleans(),
    optimizer=st.sampled_from(["AdamW", "AdamW8bit", "Adafactor", "Prodigy", "PagedAdamW"]),
    batch_size=st.integers(1, 32),
    resolution=st.sampled_from([512, 1024, 1536]),
    checkpointing=st.booleans(),
    full_bf16=st.booleans(),
    fused=st.booleans(),
    processes=st.integers(1, 4),
)


@given(SHAPES)
def test_each_way_to_save_memory_saves_some(shape: Shape) -> None:
    assert vram_gb(replace(shape, checkpointing=True)) <= vram_gb(shape)
    assert vram_gb(replace(shape, full_bf16=True)) <= vram_gb(shape)
    assert vram_gb(replace(shape, fused=True)) <= vram_gb(shape)
    assert vram_gb(replace(shape, text_cached=True)) <= vram_gb(shape)
    assert static_gb(shape) < vram_gb(shape) < vram_gb(replace(shape, batch_size=shape.batch_size + 1))


@given(SHAPES)
def test_a_paged_optimizer_spares_the_gpu_and_not_the_disk(shape: Shape) -> None:
    plain, paged = replace(shape, optimizer="AdamW"), replace(shape, optimizer="PagedAdamW")

    assert vram_gb(paged) < vram_gb(plain)
    assert state_gb(paged) == state_gb(plain)


@given(SHAPES, st.integers(0, 9999), st.floats(0, 500), st.integers(1, 9), st.integers(0, 9))
def test_the_disk_holds_all_and_one_more_of_what_is_being_written(
    shape: Shape, images: int, dataset: float, checkpoints: int, states: int
) -> None:
    need = disk_gb(shape, images, dataset, checkpoints, states)

    assert need > 20 + 2 * dataset + (checkpoints + 1) * checkpoint_gb(shape) + states * state_gb(shape)
    assert disk_gb(shape, images, dataset, checkpoints + 1, states) > need
    assert disk_gb(shape, images, dataset, checkpoints, states + 1) > need
