"""Machines that this computer remembers, in files: those that failed here, and those that are gone."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from components.home import state_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORGET_AFTER: Final = 30 * 86400


class _Memory:
    """Rows of one market, one a line: a rehearsal on the simulator says nothing of real machines."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._path = state_folder() / name

    def rows(self) -> list[dict[str, Any]]:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [row for line in lines if (row := _read(line)) and row["url"] == self._url]

    def add(self, **row: Any) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        row = {"url": self._url, **row}
        with self._path.open("a", encoding="utf-8") as file:
            # begins on a line of its own, also after one that a crash left unfinished
            file.write(f"\n{json.dumps(row)}\n")


class BadMachines:
    """The machines of one market that are not to be rented for 30 days, so that no run rents them again."""

    def __init__(self, url: str) -> None:
        """Remember for the market at `url`."""
        self._memory = _Memory(url, "bad-machines.jsonl")

    def ids(self) -> set[int]:
        """Return the machines' ids."""
        oldest = time.time() - _FORGET_AFTER
        return {row["machine_id"] for row in self._memory.rows() if row["at"] > oldest}

    def add(self, machine_id: int, reason: str) -> None:
        """Remember `machine_id` as bad."""
        self._memory.add(machine_id=machine_id, reason=reason, at=int(time.time()))


@dataclass(frozen=True)
class Gone:
    """A machine that is no longer rented.

    Attributes:
        instance: its id.
        rate: $/h that it cost while it ran, as far as its resource's state knew.
        rented: epoch seconds.
        until: epoch seconds when it was first known to be gone.
    """

    instance: int
    rate: float
    rented: float
    until: float

    @classmethod
    def of(cls, machine: Mapping[str, Any], until: float) -> Self | None:
        """Return the machine that has those outputs; None where a state of before knows too little of it."""
        if not machine.get("rented"):
            return None
        return cls(int(machine["instance_id"]), float(machine["price"]), float(machine["rented"]), until)


class GoneMachines:
    """The machines of one market that are gone: what they cost is known here before Vast.ai tells it."""

    def __init__(self, url: str) -> None:
        """Remember for the market at `url`."""
        self._memory = _Memory(url, "gone-machines.jsonl")

    def of(self, owner: str) -> list[Gone]:
        """Return those whose label carries `owner`."""
        found: dict[int, Gone] = {}
        for row in self._memory.rows():
            if row["owner"] == owner:
                gone = Gone(row["instance"], row["rate"], row["rented"], row["until"])
                found.setdefault(gone.instance, gone)
        return list(found.values())

    def add(self, owner: str, machine: Mapping[str, Any]) -> None:
        """Remember that `machine`, by the outputs of its resource, is gone; nothing fails for want of it."""
        if gone := Gone.of(machine, int(time.time())):
            with suppress(OSError):
                self._memory.add(owner=owner, **asdict(gone))


def _read(line: str) -> dict[str, Any]:
    """Return what a line holds; nothing where a crash cut it off."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return row
