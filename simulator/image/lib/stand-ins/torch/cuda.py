"""The GPUs as torch reports them. It asks the machine's facts and knows no kernels."""

from __future__ import annotations

import warnings
from typing import NamedTuple

from hardware import gpu
from hardware.facts import machine
from programs import nvidia_smi

from torch import version

_BLACKWELL = (10, 0)
_BLACKWELL_CUDA = (12, 8)
"""The first builds with kernels for it."""

_RESERVED = 0.012
"""Share of a card's memory that the driver keeps: 80 GiB cards show 79.1, 24 GiB cards 23.6."""


class OutOfMemoryError(RuntimeError):
    """CUDA out of memory."""


class DeviceProperties(NamedTuple):
    """What a card is; `total_memory` in bytes."""

    name: str
    total_memory: int


def is_available() -> bool:
    """Return whether a GPU is there that the driver can run this build's CUDA on."""
    if version.cuda is None or not machine().gpus:
        return False
    driver = machine().gpus[0].cuda
    # Within one major version any driver runs any toolkit; a newer major version needs a newer driver.
    if int(version.cuda.split(".")[0]) > int(driver.split(".")[0]):
        major, minor = driver.split(".")
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old (found version "
            f"{int(major) * 1000 + int(minor) * 10}). Please update your GPU driver by "
            "downloading and installing a "
            "new version from the URL: http://www.nvidia.com/Download/index.aspx",
            stacklevel=2,
        )
        return False
    return True


def device_count() -> int:
    """Return the number of GPUs."""
    return len(machine().gpus) if is_available() else 0


def current_device() -> int:
    """Return the index of the GPU in use."""
    _require()
    return 0


def get_device_name(device: int = 0) -> str:
    """Return a GPU's name."""
    _require()
    return machine().gpus[device].name


def get_device_properties(device: int = 0) -> DeviceProperties:
    """Return a GPU's properties."""
    _require()
    card = machine().gpus[device]
    return DeviceProperties(card.name, int(card.memory_mib * 2**20 * (1 - _RESERVED)))


def mem_get_info(device: int = 0) -> tuple[int, int]:
    """Return free and total bytes of a GPU."""
    total = get_device_properties(device).total_memory
    used = sum(process.memory_mib.get(device, 0) for process in gpu.processes()) * 2**20
    return max(0, total - used), total


def get_device_capability(device: int = 0) -> tuple[int, int]:
    """Return the generation of a GPU, (8, 9) for an RTX 4090."""
    _require()
    major, _, minor = nvidia_smi.compute_capability(machine().gpus[device].name).partition(".")
    return int(major), int(minor)


def run_kernel(device: int) -> None:
    """Do what any computation begins with."""
    _require()
    if device >= len(machine().gpus):
        raise RuntimeError("CUDA error: invalid device ordinal")
    built_for = tuple(int(part) for part in (version.cuda or "0.0").split("."))
    if get_device_capability(device) >= _BLACKWELL and built_for < _BLACKWELL_CUDA:
        name = machine().gpus[device].name
        warnings.warn(f"{name} is not compatible with the current PyTorch installation.", stacklevel=3)
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")


def is_bf16_supported() -> bool:
    """Return whether the GPU computes in bfloat16: Ampere and later."""
    _require()
    return not any(
        old in machine().gpus[0].name for old in ("V100", "T4", "P100", "RTX 20", "GTX", "Quadro RTX")
    )


def _require() -> None:
    if version.cuda is None:
        raise AssertionError("Torch not compiled with CUDA enabled")
    if not is_available():
        raise RuntimeError("No CUDA GPUs are available")
