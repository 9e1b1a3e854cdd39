"""Who uses the GPUs: each process that does leaves one small file, and `nvidia-smi` reads them all.

It does not know what the memory is for.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import NamedTuple

from hardware.facts import run_file


class Process(NamedTuple):
    """A process that holds GPU memory: MiB by GPU index, and how busy it keeps them in percent."""

    pid: int
    name: str
    memory_mib: dict[int, int]
    utilization: int


def occupy(memory_mib: dict[int, int], utilization: int) -> None:
    """Say what this process uses from now on. It ends with the process, however that ends."""
    with contextlib.suppress(OSError):  # a run folder that cannot be written only blinds nvidia-smi
        run_file("gpu").mkdir(parents=True, exist_ok=True)
        state = {"name": "python3", "memory_mib": memory_mib, "utilization": utilization}
        new = run_file("gpu") / f".{os.getpid()}"
        new.write_text(json.dumps(state), encoding="utf-8")
        new.replace(run_file("gpu") / str(os.getpid()))


def processes() -> list[Process]:
    """Return the living processes that use a GPU, oldest first; forget the dead ones."""
    found = []
    for file in sorted(run_file("gpu").glob("[0-9]*"), key=lambda file: int(file.name)):
        pid = int(file.name)
        if not _alive(pid):
            file.unlink(missing_ok=True)
            continue
        state = json.loads(file.read_text(encoding="utf-8"))
        memory = {int(index): mib for index, mib in state["memory_mib"].items()}
        found.append(Process(pid, state["name"], memory, state["utilization"]))
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
