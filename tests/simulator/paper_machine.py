"""A machine without an inside, for tests of contracts and money only."""

from __future__ import annotations

import itertools
from pathlib import Path

from simulator.clock import Clock
from simulator.machine.spec import MachineSpec, Traffic

_ports = itertools.count(40000)


class PaperMachine:
    """Boots at once; remembers what it was told."""

    def __init__(self, spec: MachineSpec, clock: Clock, root: Path) -> None:
        self.spec, self.root = spec, root
        self.traffic = Traffic()
        self.keys: list[str] = []
        self.events: list[str] = []
        self.ports: dict[str, int] = {}
        self.proxy_port = next(_ports)

    async def start(self) -> None:
        self.events.append("start")
        self.ports = {"22/tcp": next(_ports)}

    async def stop(self) -> None:
        self.events.append("stop")
        self.ports = {}

    async def destroy(self) -> None:
        self.events.append("destroy")

    def set_authorized_keys(self, keys: list[str]) -> None:
        self.keys = keys

    def logs(self) -> str:
        return "booted\nready\n"
