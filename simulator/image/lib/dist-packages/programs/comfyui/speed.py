"""How long everything takes, in virtual seconds, and what does not fit in the GPU.

Steps per second at 1024x1024: the A100 from fal-ai's benchmark of diffusers, the 4060 Ti and the 3060 from
stable-fast #63 (ComfyUI); the others are assumed, scaled by the data sheets.
"""

from __future__ import annotations

import os
import time

from hardware import gpu
from hardware.facts import machine

STEP_VARIABLE = "SIMULATED_STEP_SECONDS"
"""Names the real seconds of a sampler's step, whatever the GPU and the size: for tests."""

_STEPS_PER_SECOND = {
    "B200": 18.0, "H200": 14.0, "H100": 13.0, "A100": 8.4, "L40S": 6.5, "L40": 5.5, "L4": 2.0, "A40": 3.6,
    "RTX PRO 6000": 10.5, "RTX 6000 Ada": 6.5, "RTX A6000": 3.8, "RTX A5000": 3.2, "RTX A4000": 2.0,
    "RTX 5090": 10.0, "RTX 5080": 5.5, "RTX 5070 Ti": 4.6, "RTX 5070": 3.4,
    "RTX 4090": 7.0, "RTX 4080": 4.8, "RTX 4070 Ti": 3.8, "RTX 4070": 3.1, "RTX 4060 Ti": 2.1,
    "RTX 4060": 1.7,
    "RTX 3090": 3.9, "RTX 3080": 3.2, "RTX 3070": 2.1, "RTX 3060": 1.4, "V100": 2.6, "T4": 0.8,
}  # fmt: skip
_OTHER = 2.5
_TWICE = ("heun", "dpm_2", "dpmpp_2s", "dpmpp_sde", "seeds_2", "seeds_3")
_READ = 0.8e9  # bytes/s from disk to the GPU (assumed)
_GIB_PER_MEGAPIXEL = 1.1  # of activations, each image of a batch (assumed)
_LOADED_MIB = 9_800  # SDXL, its VAE and the latents (assumed)
_GIB_ALWAYS = 1.2  # ComfyUI's reserve; weights that do not fit are moved out


class OutOfMemory(Exception):
    """The GPU has no room for a batch of this size."""


def spend(seconds: float) -> None:
    """Let virtual seconds pass."""
    time.sleep(seconds / machine().scale)


def load(size: int) -> None:
    """Read a model of so many bytes."""
    spend(0.5 + size / _READ)


def encode() -> None:
    """Encode a prompt."""
    spend(1.0 / _steps_per_second())


def step(pixels: int, batch: int, sampler: str) -> None:
    """Take one step of a sampler."""
    if fixed := os.environ.get(STEP_VARIABLE):
        time.sleep(float(fixed))
        return
    passes = 2 if sampler.startswith(_TWICE) else 1
    spend(passes * (0.2 + 0.8 * batch * pixels / 1024**2) / _steps_per_second())


def decode(pixels: int, batch: int) -> None:
    """Turn latents into images or back."""
    spend(2.0 * batch * pixels / 1024**2 / _steps_per_second())


def use_gpu(*, busy: bool) -> None:
    """Let `nvidia-smi` see the models, and whether they are at work."""
    if machine().gpus:
        gpu.occupy({0: min(_LOADED_MIB, machine().gpus[0].memory_mib)}, 97 if busy else 0)


def vram() -> int:
    """Return the bytes of the GPU, or of the host where it has none."""
    gpus = machine().gpus
    return (gpus[0].memory_mib if gpus else machine().ram_mib) * 1024**2


def require(pixels: int, batch: int) -> None:
    """See that a batch fits.

    Raises:
        OutOfMemory: it does not.
    """
    needed = (_GIB_ALWAYS + _GIB_PER_MEGAPIXEL * batch * pixels / 1024**2) * 1024**3
    if needed > vram():
        raise OutOfMemory(
            f"Allocation on device 0 would exceed allowed memory. (out of memory)\n"
            f"Currently allocated     : {vram() * 0.9 / 1024**3:.2f} GiB\n"
            f"Requested               : {needed / 1024**3:.2f} GiB\n"
            f"Device limit            : {vram() / 1024**3:.2f} GiB"
        )


def _steps_per_second() -> float:
    name = machine().gpus[0].name if machine().gpus else ""
    fitting = [part for part in _STEPS_PER_SECOND if part in name.replace("-", " ")]
    return _STEPS_PER_SECOND[max(fitting, key=len)] if fitting else _OTHER
