"""What the server says of its machine."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

from hardware.facts import machine

from programs.comfyui import speed

if TYPE_CHECKING:
    import argparse

VERSION = "0.3.64"


def torch() -> str:
    """Return the version of torch in the environment; outside of any, the recorded one."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return "2.8.0+cu128"


def stats(args: argparse.Namespace) -> dict[str, Any]:
    """Return the answer of `/system_stats`."""
    ram = machine().ram_mib * 1024**2
    if args.cpu or not machine().gpus:
        name, kind, index, vram = "cpu", "cpu", None, ram
    else:
        name, kind, index, vram = (
            f"cuda:0 {machine().gpus[0].name} : cudaMallocAsync",
            "cuda",
            0,
            speed.vram(),
        )
    free = vram * 9 // 10
    return {
        "system": {
            "os": "posix", "ram_total": ram, "ram_free": ram * 9 // 10, "comfyui_version": VERSION,
            "required_frontend_version": "1.27.10", "installed_templates_version": "0.1.95",
            "required_templates_version": "0.1.95", "python_version": sys.version, "pytorch_version": torch(),
            "embedded_python": False, "argv": sys.argv,
        },
        "devices": [{
            "name": name, "type": kind, "index": index, "vram_total": vram, "vram_free": free,
            "torch_vram_total": 0 if kind == "cuda" else vram,
            "torch_vram_free": 0 if kind == "cuda" else free,
        }],
    }  # fmt: skip
