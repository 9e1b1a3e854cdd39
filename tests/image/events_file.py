"""An independent reader of TensorBoard event files: framing, checksums, the two messages."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 & -(crc & 1))
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    at = 0
    while at < len(data):
        (length,), (check,) = struct.unpack_from("<Q", data, at), struct.unpack_from("<I", data, at + 8)
        assert check == masked(data[at : at + 8])
        body = data[at + 12 : at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(body)
        yield body
        at += 16 + length


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            yield key >> 3, message[at : at + size]
            at += size


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """Return tag, step and value of every scalar below a folder."""
    found = []
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        first, *rest = (dict(fields(record)) for record in records(path))
        assert first[3] == b"brain.Event:2"
        for event in rest:
            (_, value) = next(fields(event[5]))  # type: ignore[arg-type]
            scalar = dict(fields(value))  # type: ignore[arg-type]
            (number,) = struct.unpack("<f", scalar[2])  # type: ignore[arg-type]
            found.append((scalar[1].decode(), event.get(2, 0), number))  # type: ignore[union-attr]
    return found
