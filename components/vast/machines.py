"""Machines that failed here before, remembered in a file so that no later run rents them again."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from components.home import state_folder

_FORGET_AFTER: Final = 30 * 86400


class BadMachines:
    """The machines of one market that are not to be rented for 30 days."""

    def __init__(self, url: str) -> None:
        """Remember for the market at `url`: a rehearsal on the simulator says nothing of real machines."""
        self._url = url
        self._path = state_folder() / "bad-machines.jsonl"

    def ids(self) -> set[int]:
        """Return the machines' ids."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return set()
        oldest = time.time() - _FORGET_AFTER
        rows = [row for line in lines if (row := _read(line))]
        return {row["machine_id"] for row in rows if row["url"] == self._url and row["at"] > oldest}

    def add(self, machine_id: int, reason: str) -> None:
        """Remember `machine_id` as bad."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        row = {"url": self._url, "machine_id": machine_id, "reason": reason, "at": int(time.time())}
        with self._path.open("a", encoding="utf-8") as file:
            # begins on a line of its own, also after one that a crash left unfinished
            file.write(f"\n{json.dumps(row)}\n")


def _read(line: str) -> dict[str, Any]:
    """Return what a line holds; nothing where a crash cut it off."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return row
