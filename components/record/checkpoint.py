"""A checkpoint looked at without loading it: whether the file is whole, and what it says of its making."""

from __future__ import annotations

import json
import math
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from components.errors import FraguaError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

_LONGEST_HEADER: Final = 100_000_000
_WIDTHS: Final = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"), 1),
}
"""Bytes of a number. Of another dtype only the place in the file is checked."""


class CheckpointDamaged(FraguaError):
    """A file is no whole .safetensors file: cut off, too long, or something else."""


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a .safetensors file, of which only the header is read.

    Raises:
        CheckpointDamaged: it cannot be read, or is not exactly the file that its header describes.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            header, start = _header(path, file, size)
    except OSError as error:
        raise CheckpointDamaged(f"{path}: cannot be read: {error.strerror}") from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its metadata are not texts")
    end = start + _tensors(path, header)
    if size != end:
        raise _damaged(path, f"its header describes {end:,} bytes, the file has {size:,}")
    return metadata


def lora(
    *, dim: int, alpha: float, epochs: int, epoch: int, steps: int | None = None
) -> dict[str, str | float]:
    """Return what sd-scripts writes into an SDXL LoRA, for `check`.

    Args:
        dim: rank.
        alpha: scale.
        epochs: planned in all.
        epoch: epochs done when the file was saved.
        steps: optimizer steps done by then as the trainer counts them, which after a resume are not all
            that were done; None: not checked.
    """
    expected: dict[str, str | float] = {
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_network_dim": dim,
        "ss_network_alpha": alpha,
        "ss_num_epochs": epochs,
        "ss_epoch": epoch,
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
    }
    return expected if steps is None else expected | {"ss_steps": steps}


FULL: Final[Mapping[str, str | float]] = {"modelspec.architecture": "stable-diffusion-xl-v1-base"}
"""What sd-scripts writes into a full SDXL checkpoint, for `check`; it has no `ss_*`."""


def check(metadata: Mapping[str, str], expected: Mapping[str, str | float]) -> list[str]:
    """Return one line for each value that is not as expected; numbers are compared as numbers."""
    return [
        f"{key} is {metadata.get(key, 'missing')}, expected {value}"
        for key, value in expected.items()
        if not _same(metadata.get(key), value)
    ]


def _same(found: str | None, expected: str | float) -> bool:
    if isinstance(expected, str) or found is None:
        return found == expected
    with suppress(ValueError):
        return float(found) == expected
    return False


def _header(path: Path, file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """Return the header and where the tensors begin."""
    if size < 8:
        raise _damaged(path, f"it has {size} bytes, too few for a header")
    (length,) = struct.unpack("<Q", file.read(8))
    if length > _LONGEST_HEADER:
        raise _damaged(path, "it does not begin with the length of a header")
    if 8 + length > size:
        raise _damaged(path, f"its header alone has {length:,} bytes, the file has {size:,}")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not readable")
    return header, 8 + length


def _tensors(path: Path, header: dict[str, Any]) -> int:
    """Return the bytes of all tensors, which lie back to back."""
    places = []
    for name, tensor in header.items():
        match tensor:
            case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if all(
                isinstance(side, int) and side >= 0 for side in shape
            ):
                places.append((begin, end))
            case _:
                raise _damaged(path, f"its header does not describe the tensor {name!r}")
        if dtype in _WIDTHS and end - begin != math.prod(shape) * _WIDTHS[dtype]:
            raise _damaged(path, f"the tensor {name!r} has {end - begin:,} bytes, which its shape denies")
    total = 0
    for begin, end in sorted(places):
        if begin != total or end < begin:
            raise _damaged(path, f"its tensors do not lie back to back: one at {begin:,}, not {total:,}")
        total = end
    if not total:
        raise _damaged(path, "it has no tensors")
    return total


def _damaged(path: Path, what: str) -> CheckpointDamaged:
    return CheckpointDamaged(
        f"{path}: not a whole .safetensors file: {what}. Fetch it again; do not load it or resume from it"
    )
