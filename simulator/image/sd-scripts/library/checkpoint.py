"""Checkpoints on disk: their names, the files themselves, and the removal of old ones.

A file is written in place, header first, over the time that the true one would take: killed in between, it
is cut off.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

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


def folder(args: argparse.Namespace) -> Path:
    """Make the output folder and return it.

    Raises:
        Failure: there is none on the command line, which shows only now.
    """
    if args.output_dir is None:
        raise Failure("TypeError", "expected str, bytes or os.PathLike object, not NoneType")
    path = Path(args.output_dir)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write(
    path: Path,
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
    try:
        with path.open("wb") as file:
            _write_slowly(file, content, speed.save(true_size))
    except OSError as error:
        raise Failure(
            "safetensors_rust.SafetensorError",
            "Error while serializing: IoError(Os "
            f'{{ code: {error.errno}, kind: StorageFull, message: "{error.strerror}" }})',
        ) from None


def _write_slowly(file: BinaryIO, content: bytes, seconds: float) -> None:
    piece = len(content) // _PIECES + 1
    for start in range(0, len(content), piece):
        file.write(content[start : start + piece])
        file.flush()
        if "disk_full" in machine().faults:
            raise OSError(28, os.strerror(28))
        clock.sleep(seconds / _PIECES)


def digests(content: bytes) -> tuple[str, str]:
    """Return the hashes that a LoRA carries of its own weights: new and legacy."""
    return hashlib.sha256(content).hexdigest(), hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8]


def full_shapes(*, sdxl: bool) -> dict[str, tuple[int, ...]]:
    """Return what is written of a full checkpoint: every small tensor, under its true name and shape."""
    tensors = layout.checkpoint() if sdxl else sd1.checkpoint()
    return {name: shape for name, shape in tensors.items() if len(shape) == 1}


def remove(path: Path) -> None:
    """Remove an old checkpoint or state."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
