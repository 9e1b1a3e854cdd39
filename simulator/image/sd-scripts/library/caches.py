"""What is computed once: latents by the VAE and encodings of captions, in memory or beside the images.

In fp16 the VAE of SDXL overflows on some images: their latents are NaN, and a file written so stays so.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from hardware import clock
from hardware.facts import machine

from library import memory, speed
from library.console import Failure, log
from library.images import is_whole
from library.progress import Bar, bar

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from library.dataset import Dataset, Image

_NAN_ONE_IN = 8  # images whose latents overflow, and always one (assumed: users report some, not all)


def latents(
    args: argparse.Namespace, datasets: list[Dataset], *, sdxl: bool, overflows: bool, processes: int
) -> set[Path]:
    """Cache the latents of every image; return the images whose latents are NaN.

    Raises:
        Failure: out of GPU memory, an image that is cut off, a folder that cannot be written.
    """
    suffix = "_sdxl.npz" if sdxl else "_sd.npz"
    broken = set()
    for index, dataset in enumerate(datasets):
        log("dataset", index=index)
        log("caching_latents_strategy")
        log("caching_latents")
        ordered = sorted(dataset.images, key=lambda image: image.bucket[0] * image.bucket[1])
        for image in bar(ordered, len(ordered)):
            path = _latents_path(image, suffix)
            if args.cache_latents_to_disk and path.exists():
                if _starts_with_nan(path):
                    broken.add(image.path)
                continue
            pixels = image.bucket[0] * image.bucket[1]
            memory.require(memory.caching_latents(args, pixels), processes, 85)
            if not is_whole(image.path):
                raise Failure("OSError", f"image file is truncated (8 bytes not processed): {image.path}")
            clock.sleep(speed.latents(pixels) / processes)
            if overflows and (_overflows(image) or image is ordered[0]):
                broken.add(image.path)
            if args.cache_latents_to_disk:
                _write_latents(path, image, nan=image.path in broken)
    return broken


def text_encodings(
    args: argparse.Namespace, datasets: list[Dataset], processes: int, *, makes_room: bool
) -> None:
    """Cache the encodings of every caption; `makes_room` moves the other models off the GPU meanwhile.

    Raises:
        Failure: a folder that cannot be written.
    """
    if makes_room:
        log("unet_to_cpu")
    for index, dataset in enumerate(datasets):
        log("dataset", index=index)
        log("caching_te_strategy")
        log("checking_caches")
        todo = []
        for image in bar(dataset.images, len(dataset.images)):
            path = image.path.with_name(f"{image.path.stem}_te_outputs.npz")
            if not (args.cache_text_encoder_outputs_to_disk and path.exists()):
                todo.append((image, path))
        if not todo:
            log("no_te_to_cache")
            continue
        log("caching_te")
        size = dataset.settings["batch_size"]
        groups = [todo[start : start + size] for start in range(0, len(todo), size)]
        shown = Bar(len(groups))
        for group in groups:
            clock.sleep(speed.text_encoding() * len(group) / processes)
            if args.cache_text_encoder_outputs_to_disk:
                for _, path in group:
                    _write_encodings(path, args.max_token_length)
            shown.update()
        shown.close()
    if makes_room:
        log("unet_back")


def _overflows(image: Image) -> bool:
    return zlib.crc32(image.path.name.encode()) % _NAN_ONE_IN == 0


def _latents_path(image: Image, suffix: str) -> Path:
    old = image.path.with_suffix(".npz")
    if old.exists():
        return old
    width, height = image.size or (0, 0)
    return image.path.with_name(f"{image.path.stem}_{width:04d}x{height:04d}{suffix}")


def _write_latents(path: Path, image: Image, *, nan: bool) -> None:
    shape = (4, image.bucket[1] // 8, image.bucket[0] // 8)
    count = shape[0] * shape[1] * shape[2]
    numbers = struct.pack("<f", float("nan")) * count if nan else bytes(4 * count)
    arrays = {
        "latents": _npy("<f4", shape, numbers),
        "original_size": _npy("<i8", (2,), struct.pack("<2q", *(image.size or (0, 0)))),
        "crop_ltrb": _npy("<i8", (4,), bytes(32)),
    }
    _write_npz(path, arrays)


def _write_encodings(path: Path, max_token_length: int | None) -> None:
    tokens = (max_token_length or 75) + 2
    arrays = {
        name: _npy("<f4", shape, bytes(4 * shape[0] * (shape[1] if len(shape) > 1 else 1)))
        for name, shape in {
            "hidden_state1": (tokens, 768),
            "hidden_state2": (tokens, 1280),
            "pool2": (1280,),
        }.items()
    }
    _write_npz(path, arrays)


def _write_npz(path: Path, arrays: dict[str, bytes]) -> None:
    if "disk_full" in machine().faults:
        raise Failure("OSError", "[Errno 28] No space left on device")
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, content in arrays.items():
                archive.writestr(f"{name}.npy", content)
    except OSError as error:
        raise Failure(type(error).__name__, str(error)) from None


def _npy(kind: str, shape: tuple[int, ...], content: bytes) -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + content


def _starts_with_nan(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            content = io.BytesIO(archive.read("latents.npy"))
    except (zipfile.BadZipFile, KeyError, OSError):
        return False
    content.seek(8)
    (length,) = struct.unpack("<H", content.read(2))
    content.seek(10 + length)
    return content.read(4) == struct.pack("<f", float("nan"))
