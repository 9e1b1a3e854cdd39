"""TensorBoard's event files: scalars in TFRecord framing, so that a real TensorBoard reads them.

The two protobuf messages are encoded by hand: `Event {wall_time=1, step=2, file_version=3, summary=5}` and
`Summary.Value {tag=1, simple_value=2}`. Source: tensorflow/core/util/event.proto and record_writer.cc.
"""

from __future__ import annotations

import os
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = register >> 1 ^ (_POLYNOMIAL if register & 1 else 0)
        table.append(register)
    return tuple(table)


_TABLE = _table()


class EventFile:
    """One event file in a folder, opened new."""

    def __init__(self, folder: Path) -> None:
        """Open it and write the version record."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{os.uname().nodename}.{os.getpid()}.0"
        self._file = (folder / name).open("wb")
        self._record(_bytes(3, b"brain.Event:2"), 0)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars of one step."""
        for tag, value in values.items():
            content = _bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
            self._record(_bytes(5, _bytes(1, content)), step)
        self._file.flush()

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def _record(self, rest: bytes, step: int) -> None:
        event = b"\x09" + struct.pack("<d", time.time()) + (b"\x10" + _varint(step) if step else b"") + rest
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked(length) + event + _masked(event))


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _masked(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
