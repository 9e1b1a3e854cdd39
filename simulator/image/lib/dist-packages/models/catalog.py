"""The files of the internet that this image can make up: SDXL's checkpoints and its tokenizers.

It knows their contents and digests, not how they travel.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from models import safetensors, sdxl


class KnownFile(NamedTuple):
    """A published file: Hugging Face repository and name, bytes, hex sha256 (empty where nobody asks)."""

    repo: str
    name: str
    size: int
    sha256: str
    layout: str | tuple[str, ...]
    civitai: str | None

    def head(self) -> bytes:
        """Return the bytes that are not zero: all of a text, the header of a model."""
        if self.layout == "text":
            return _text(self.name, self.size)
        if self.layout == "sdxl":
            metadata = {
                "modelspec.sai_model_spec": "1.0.0",
                "modelspec.architecture": "stable-diffusion-xl-v1-base",
                "modelspec.title": "Stable Diffusion XL 1.0 Base",
                "modelspec.license": "CreativeML Open RAIL++-M License",
            }
            return _fitted(sdxl.checkpoint(), "F16", self.size, metadata)
        if self.layout == "vae":
            return _fitted(sdxl.vae(), "F32", self.size)
        *few, last = tuple(self.layout)
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(few, (320, 4, 3, 3))
        rest = self.size - 4096 - sum(safetensors.nbytes(shape, "F16") for shape in shapes.values())
        return _fitted({**shapes, last: (rest // 2,)}, "F16", self.size)


@cache
def files() -> tuple[KnownFile, ...]:
    """Return every known file."""
    text = (Path(__file__).parent / "catalog.json").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = json.loads(text)["files"]
    return tuple(
        KnownFile(
            entry["repo"],
            entry["name"],
            entry["size"],
            entry["sha256"],
            entry["layout"] if isinstance(entry["layout"], str) else tuple(entry["layout"]),
            entry.get("civitai"),
        )
        for entry in entries
    )


def recognise(path: Path) -> KnownFile | None:
    """Return the known model that a whole file on disk is a stand-in for, by size and header."""
    size = path.stat().st_size
    for known in files():
        if known.sha256 and known.size == size:
            head = known.head()
            with path.open("rb") as file:
                if file.read(len(head)) == head:
                    return known
    return None


def _fitted(
    shapes: safetensors.Shapes, dtype: str, size: int, metadata: dict[str, str] | None = None
) -> bytes:
    """Pad the header so that header and tensors are `size` bytes in all."""
    plain = safetensors.header(shapes, dtype, metadata)
    data = max(end for _, end in _offsets(plain))
    return safetensors.header(shapes, dtype, metadata, length=size - data)


def _offsets(header: bytes) -> list[tuple[int, int]]:
    table = json.loads(header[8:])
    return [tuple(entry["data_offsets"]) for name, entry in table.items() if name != "__metadata__"]


def _text(name: str, size: int) -> bytes:
    if name.endswith(".json"):
        start, end = b'{"_": "', b'"}\n'
    else:
        start, end = b"#version: 0.2\n", b"\n"
    return start + b"-" * (size - len(start) - len(end)) + end
