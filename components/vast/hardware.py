"""Whether a machine shows the hardware that was advertised. Pure.

`nvidia-smi` is asked for one CSV line a GPU: `name, memory.total [MiB], driver_version`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.vast.wire import Instance

PROBE = (
    "nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits"
    " && df -B1000000000 --output=size /workspace | tail -n 1"
)
"""The command to run on the machine; its output goes to `mismatch`."""

_SHARE_OF_VRAM = 0.95
_SHARE_OF_DISK = 0.9


def mismatch(instance: Instance, output: str, disk: float) -> str:
    """Return how the machine differs from what was advertised, or an empty string.

    Args:
        instance: what the API says was rented.
        output: what `PROBE` printed.
        disk: GB that were asked for.
    """
    *gpu_lines, disk_line = output.strip().splitlines() or [""]
    gpus = [[field.strip() for field in line.split(",")] for line in gpu_lines]
    if (
        not gpus
        or any(len(gpu) != 3 or not gpu[1].isdecimal() for gpu in gpus)
        or not disk_line.strip().isdecimal()
    ):
        return f"nvidia-smi or df gave no usable answer: {output.strip()[:200]!r}"
    advertised_driver = instance.driver_version or "0"
    names, memories, drivers = zip(*gpus, strict=True)
    checks = (
        (len(gpus) == instance.num_gpus, f"{instance.num_gpus} GPUs", f"{len(gpus)}"),
        (all(_same_gpu(instance.gpu_name, name) for name in names), instance.gpu_name, ", ".join(names)),
        (
            min(map(int, memories)) >= instance.gpu_ram * _SHARE_OF_VRAM,
            f"{instance.gpu_ram:.0f} MiB of VRAM",
            f"{min(map(int, memories))}",
        ),
        (
            min(map(_version, drivers)) >= _version(advertised_driver),
            f"driver {advertised_driver}",
            min(drivers, key=_version),
        ),
        (int(disk_line) >= disk * _SHARE_OF_DISK, f"{disk:g} GB of disk", f"{disk_line.strip()} GB"),
    )
    return next((f"advertised {told}, shows {shown}" for same, told, shown in checks if not same), "")


def _same_gpu(advertised: str, shown: str) -> bool:
    """Compare Vast.ai's short name with nvidia-smi's long one, `RTX 4070S` with `GeForce RTX 4070 SUPER`.

    nvidia-smi does not always tell the form factor (an H100 SXM is an `H100 80GB HBM3`), so it is left out.
    """
    spelled = (
        re.sub(r"(RTX 40\d0)S\b", r"\1 SUPER", advertised).replace("Ada", " Ada").replace("4090D", "4090 D")
    )
    wanted = _words(spelled) - {"pcie", "sxm", "sxm2", "sxm4", "q", "s", "ws"}
    return wanted <= _words(shown) and all(
        (word in wanted) == (word in _words(shown)) for word in ("ti", "super", "d", "ada", "pro", "laptop")
    )


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower()))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
