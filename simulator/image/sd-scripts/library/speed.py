"""How long everything takes, in virtual seconds. The cards are in gpus.json, the shares below.

Sources: reports and remarks of users; what is marked assumed is a guess of the right size.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hardware.facts import machine

if TYPE_CHECKING:
    import argparse

IMPORTS = 11.0
"""Importing torch, diffusers and transformers (assumed)."""

_CHECKPOINTING = 1.28
"""Recomputing activations costs 20 to 35 % more time."""

_ATTENTION = {"xformers": 1.0, "sdpa": 1.0, "mem_eff": 1.35, "plain": 1.5}
_FULL = 1.35  # gradients of every weight and their optimizer step, over those of a LoRA (assumed)
_TEXT_ENCODERS = 1.12  # training both (assumed)
_FIXED = 0.25  # share of a one-image step that a batch does not repeat (assumed)
_FP32 = 2.0  # no mixed precision (assumed)
_DDP = 1.06  # reducing gradients (assumed)
_DISK_READ = 0.25e9  # bytes/s, a checkpoint into its modules: 7 GB in half a minute
_DISK_WRITE = 0.8e9  # bytes/s (assumed)
_SHA256 = 0.7e9  # bytes/s on one core (assumed)


def attention(args: argparse.Namespace) -> str:
    """Return the attention in use: of several flags only the first counts."""
    if args.mem_eff_attn:
        return "mem_eff"
    return "xformers" if args.xformers else "sdpa" if args.sdpa else "plain"


def step(
    args: argparse.Namespace, batch: int, pixels: int, *, full: bool, trains_text: bool, processes: int
) -> float:
    """Return the seconds of one pass over `batch` images of so many pixels, forward and backward."""
    area = pixels / 1024**2
    seconds = _seconds_per_image() * (_FIXED + (1 - _FIXED) * batch * area)
    seconds *= _ATTENTION[attention(args)] * (_CHECKPOINTING if args.gradient_checkpointing else 1.0)
    seconds *= (_FULL if full else 1.0) * (_TEXT_ENCODERS if trains_text else 1.0)
    seconds *= (_FP32 if args.mixed_precision == "no" else 1.0) * (_DDP if processes > 1 else 1.0)
    if not args.cache_latents:
        seconds += 0.2 * _seconds_per_image() * batch * area  # the VAE encodes every image anew
    if not getattr(args, "cache_text_encoder_outputs", False):
        seconds += 0.05 * _seconds_per_image() * batch
    return seconds * _optimizer(args)


def load(size: int) -> float:
    """Return the seconds to read a checkpoint of so many bytes and build its modules."""
    return 9.0 + size / _DISK_READ


def latents(pixels: int) -> float:
    """Return the seconds to cache one image's latents: about eight a second on a 4090."""
    return 0.02 + 0.17 * _seconds_per_image() * pixels / 1024**2


def text_encoding() -> float:
    """Return the seconds to cache one caption's encodings."""
    return 0.01 + 0.03 * _seconds_per_image()


def save(size: float) -> float:
    """Return the seconds to write so many bytes."""
    return 0.4 + size / _DISK_WRITE


def digest(size: int) -> float:
    """Return the seconds that the metadata of a LoRA takes: sha256 over the base model, read twice."""
    return 2 * size / _SHA256


def preview(width: int, height: int, steps: int) -> float:
    """Return the seconds to draw one sample image."""
    return 0.8 + steps * 0.16 * _seconds_per_image() * width * height / 1024**2


def _optimizer(args: argparse.Namespace) -> float:
    name = (args.optimizer_type or "").lower()
    return 1.08 if name == "adafactor" else 1.1 if name.startswith(("prodigy", "dadapt")) else 1.0


@cache
def _seconds_per_image() -> float:
    table = json.loads((Path(__file__).parent / "gpus.json").read_text(encoding="utf-8"))
    name = machine().gpus[0].name
    fitting = [part for part in table["seconds_per_image"] if part in name]
    seconds: float = table["seconds_per_image"][max(fitting, key=len)] if fitting else table["other"]
    return seconds
