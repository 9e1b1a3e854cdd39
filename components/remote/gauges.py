"""How hard a machine works at this moment: its GPUs, disk, memory and load. Pure.

What cannot be told (the power of a GPU without its sensor, the GPUs of a machine without a driver) is left
out: nothing here fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from components.remote.job import WORKSPACE

_FIELDS: Final = "index,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw"
_PATIENCE: Final = 3
"""Seconds for nvidia-smi, which hangs, and cannot always be killed, where a GPU fell off the bus."""

_GPU: Final = re.compile(r"^gpu +(\d{1,4})((?:,[^,\n]*){5})$", re.MULTILINE | re.ASCII)
_DISK: Final = re.compile(r"^disk +(\d{1,18}) +(\d{1,18})$", re.MULTILINE | re.ASCII)
_RAM: Final = re.compile(r"^MemTotal: +(\d{1,18}) kB\nMemAvailable: +(\d{1,18}) kB$", re.MULTILINE | re.ASCII)
_LOAD: Final = re.compile(r"^load (\d{1,9}\.\d\d) ", re.MULTILINE | re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True)
class GpuGauge:
    """One GPU; a field is None where the driver does not tell.

    Attributes:
        index: its number on the machine.
        utilization: percent of the time in which a kernel ran.
        used: MiB of its memory that are taken.
        total: MiB of its memory.
        temperature: degrees Celsius.
        power: watts.
    """

    index: int
    utilization: float | None
    used: float | None
    total: float | None
    temperature: float | None
    power: float | None


@dataclass(frozen=True)
class Gauges:
    """A machine at one moment; a total of 0 means that it is unknown.

    Attributes:
        gpus: as nvidia-smi lists them; none without a working driver.
        disk_used: GB (10^9 bytes) on the workspace's disk.
        disk_total: GB that programs can use of that disk.
        ram_used: GB that no program could get.
        ram_total: GB.
        load: processes that want to run, a mean over a minute; None if unknown.
    """

    gpus: tuple[GpuGauge, ...] = ()
    disk_used: float = 0.0
    disk_total: float = 0.0
    ram_used: float = 0.0
    ram_total: float = 0.0
    load: float | None = None


def gauges_script() -> str:
    """Return a bash script that reads the gauges, for `parse_gauges`. It always succeeds."""
    return f"""{{
while read -r -t {_PATIENCE} gpu; do echo "gpu $gpu"; done < <(
  timeout {_PATIENCE} nvidia-smi --query-gpu={_FIELDS} --format=csv,noheader,nounits)
df -B1 --output=used,avail "{WORKSPACE}" | sed -n '$s/^/disk /p'
grep -E '^Mem(Total|Available):' /proc/meminfo
sed 's/^/load /' /proc/loadavg
}} 2>/dev/null || true
"""


def parse_gauges(text: str) -> Gauges:
    """Read what `gauges_script` printed; what makes no sense counts as not there."""
    disk_used, disk_free = _two(_DISK, text)
    ram_total, ram_free = _two(_RAM, text)
    load = _LOAD.search(text)
    return Gauges(
        tuple(GpuGauge(int(gpu[1]), *map(_number, gpu[2].split(",")[1:])) for gpu in _GPU.finditer(text)),
        disk_used=disk_used / 1e9,
        disk_total=(disk_used + disk_free) / 1e9,
        ram_used=max(0, ram_total - ram_free) * 1024 / 1e9,
        ram_total=ram_total * 1024 / 1e9,
        load=float(load[1]) if load else None,
    )


def _two(pattern: re.Pattern[str], text: str) -> tuple[int, int]:
    found = pattern.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text.strip()) else None
