"""The safetensors format: eight bytes of header length, a JSON header, the tensors' bytes back to back.

Source: the format's own README (github.com/huggingface/safetensors) and the checks of its 0.4.5 reader.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {"F64": 8, "I64": 8, "F32": 4, "F16": 2, "BF16": 2}
_MAX_HEADER = 100_000_000

Shapes = Mapping[str, tuple[int, ...]]


class SafetensorError(Exception):
    """The file is no complete safetensors file; the text is the reader's own."""


def nbytes(shape: Iterable[int], dtype: str) -> int:
    """Return the bytes that a tensor takes."""
    count = 1
    for side in shape:
        count *= side
    return count * SIZES[dtype]


def header(shapes: Shapes, dtype: str, metadata: Mapping[str, str] | None = None, length: int = 0) -> bytes:
    """Build length and header for tensors of one dtype in their order, padded to `length` bytes in all."""
    table: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name, shape in shapes.items():
        kind = "I64" if name.endswith("position_ids") else dtype
        end = start + nbytes(shape, kind)
        table[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * max(-(len(text)) % 8, length - 8 - len(text))
    return struct.pack("<Q", len(text)) + text


def read_header(path: Path) -> dict[str, Any]:
    """Return the header after the checks that the real reader makes.

    Raises:
        SafetensorError: not a safetensors file, or cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        if len(first) < 8:
            raise SafetensorError("Error while deserializing header: HeaderTooSmall")
        (length,) = struct.unpack("<Q", first)
        if length > _MAX_HEADER:
            raise SafetensorError("Error while deserializing header: HeaderTooLarge")
        if length + 8 > size:
            raise SafetensorError("Error while deserializing header: InvalidHeaderLength")
        text = file.read(length)
    try:
        table: dict[str, Any] = json.loads(text)
        end = max(
            (entry["data_offsets"][1] for key, entry in table.items() if key != "__metadata__"), default=0
        )
    except (ValueError, TypeError, KeyError):
        raise SafetensorError("Error while deserializing header: InvalidHeaderDeserialization") from None
    if 8 + length + end != size:
        raise SafetensorError("Error while deserializing header: MetadataIncompleteBuffer")
    return table
