"""What the rented machine is said to have. The machine writes it; the programs of the image only read it."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple


class Gpu(NamedTuple):
    """One GPU: name, MiB of the card, and of the driver its version and the highest CUDA that it runs."""

    name: str
    memory_mib: int
    driver: str
    cuda: str
    uuid: str


class Machine(NamedTuple):
    """The facts of one machine.

    Attributes:
        gpus: in the order of their index.
        scale: virtual seconds that pass in one real second.
        inet_down: Mbps from the internet.
        disk: GB of container disk.
        cores: CPU cores of the rented share.
        ram_mib: host memory of the rented share.
        image: docker image reference.
        web: folder that stands for the internet, `<host>/<path>`; None for none.
        wheels: folder with the packages that can really be installed; None for none.
        debian: the packages of Debian's that can: by name, their program here, and where it is to be found.
        faults: what is broken: `disk_full`, `hub_429`, `large_images`, `nan_loss`.
    """

    gpus: tuple[Gpu, ...]
    scale: float
    inet_down: float
    disk: float
    cores: int
    ram_mib: int
    image: str
    web: str | None
    wheels: str | None
    debian: dict[str, tuple[str, str]]
    faults: frozenset[str]


def run_file(name: str) -> Path:
    """Return a file of the machine's `/run`, or of the folder where `SIMULATED_TRAFFIC` reports traffic."""
    return Path(os.environ.get("SIMULATED_TRAFFIC", "/run/traffic")).parent / name


@cache
def machine() -> Machine:
    """Read the facts once, from `/etc/simulated.json` or the file that `SIMULATED_MACHINE` names."""
    file = Path(os.environ.get("SIMULATED_MACHINE", "/etc/simulated.json"))
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return Machine(
        gpus=tuple(Gpu(**{key: gpu[key] for key in Gpu._fields}) for gpu in facts["gpus"]),
        scale=facts["scale"],
        inet_down=facts["inet_down_mbps"],
        disk=facts["disk_gb"],
        cores=facts["cpu_cores"],
        ram_mib=facts["ram_mib"],
        image=facts["image"],
        web=facts["web"],
        wheels=facts.get("wheels"),
        debian=facts.get("debian", {}),
        faults=frozenset(facts["faults"]),
    )
