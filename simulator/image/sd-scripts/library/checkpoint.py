"""Checkpoints on disk: their names, the files themselves, and the removal of old ones.

A file is written in place, header first, over the time that the true one would take: killed in between, it
is cut off.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

from hardware import clock
from hardware.facts import machine
from models import safetensors, sd1
from models import sdxl as layout

from library import speed
from library.console import Failure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_PIECES = 8
DTYPES = {None: "F32", "float": "F32", "fp16": "F16", "bf16": "BF16"}
"""What `--save_precision` makes of the numbers."""


def epoch_name(args: argparse.Namespace, epoch: int) -> str:
    """Return the name of an epoch's checkpoint, without suffix."""
    return f"{'epoch' if args.output_name is None else args.output_name}-{epoch:06d}"


def step_name(args: argparse.Namespace, step: int) -> str:
    """Return the name of a step's checkpoint, without suffix."""
    return f"{'at' if args.output_name is None else args.output_name}-step{step:08d}"


def last_name(args: argparse.Namespace) -> str:
    """Return the name of the final checkpoint, without suffix."""
    return "last" if args.output_name is None else str(args.output_name)


def expired_epoch(args: argparse.Namespace, epoch: int, keep: int | None) -> int | None:
    """Return the epoch whose file goes when this one's is there."""
    if keep is None:
        return None
    expired: int = epoch - args.save_every_n_epochs * keep
    return expired if expired >= 0 else None


def expired_step(args: argparse.Namespace, step: int, keep: int | None) -> int | None:
    """Return the step whose file goes when this one's is there; `keep` counts steps, not files."""
    if keep is None:
        return None
    expired: int = step - keep - 1
    expired -= expired % args.save_every_n_steps
    return expired if expired >= 0 else None


def folder(args: argparse.Namespace) -> str:
    """Make the output folder and return it.

    Raises:
        Failure: there is none on the command line, which shows only now.
    """
    if args.output_dir is None:
        raise Failure("TypeError", "expected str, bytes or os.PathLike object, not NoneType")
    os.makedirs(args.output_dir, exist_ok=True)
    return str(args.output_dir)


def write(
    path: str,
    shapes: safetensors.Shapes,
    dtype: str,
    metadata: Mapping[str, str],
    tensors: bytes,
    true_size: float,
) -> None:
    """Write a safetensors file in the time that `true_size` bytes take.

    Raises:
        Failure: the disk is full.
    """
    content = safetensors.header(shapes, dtype, metadata) + tensors
    seconds = speed.save(true_size)
    try:
        with open(path, "wb") as file:
            for start in range(0, len(content), max(1, len(content) // _PIECES)):
                file.write(content[start : start + max(1, len(content) // _PIECES)])
                file.flush()
                if "disk_full" in machine().faults:
                    raise OSError(28, os.strerror(28))
                clock.sleep(seconds / _PIECES)
    except OSError as error:
        raise Failure(
            "safetensors_rust.SafetensorError",
            f'Error while serializing: IoError(Os {{ code: {error.errno}, kind: StorageFull, message: "{error.strerror}" }})',
        ) from None


def digests(content: bytes) -> tuple[str, str]:
    """Return the hashes that a LoRA carries of its own weights: new and legacy."""
    return hashlib.sha256(content).hexdigest(), hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]


def full_shapes(*, sdxl: bool) -> dict[str, tuple[int, ...]]:
    """Return what is written of a full checkpoint: every small tensor, under its true name and shape."""
    tensors = layout.checkpoint() if sdxl else sd1.checkpoint()
    return {name: shape for name, shape in tensors.items() if len(shape) == 1}


def remove(path: str) -> bool:
    """Remove an old checkpoint or state; return whether there was one."""
    if not os.path.exists(path):
        return False
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.remove(path)
    return True
