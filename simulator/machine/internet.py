"""What a program in a container finds at 127.0.0.1 though it is outside: the API, and others' ports."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from simulator.machine.ports import CountedSocket, relay
from simulator.machine.spec import Traffic

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from simulator.machine.sandbox import Doors


PUBLIC_ADDRESS = "127.0.0.1"
CONTAINERS_ADDRESS = "127.0.0.2"  # from which the API hears them


class Internet:
    """What machines reach of the world: the API, and the public ports of each other, but for SSH's."""

    def __init__(self, api: int | None = None) -> None:
        """Begin without machines; the API is at port `api` of this host."""
        self.api = {api} if api else set()
        self._opened: dict[WayOut, frozenset[int]] = {}

    def join(self, way: WayOut, ports: Iterable[int]) -> None:
        """Let a machine find the world, and the others what it opened; its own ports it need not find."""
        self._opened[way] = frozenset(ports)
        self._tell()

    def leave(self, way: WayOut) -> None:
        """Forget a machine."""
        self._opened.pop(way, None)
        self._tell()

    def _tell(self) -> None:
        for way in self._opened:
            way.open(self.api.union(*(ports for other, ports in self._opened.items() if other is not way)))


class WayOut:
    """Leads from the doors of one container to the internet."""

    def __init__(self, doors: Doors, internet: Internet, traffic: Traffic) -> None:
        """Lead there; only what goes to other machines is counted as `traffic`."""
        self._doors, self._internet, self._traffic = doors, internet, traffic
        self._open = internet.api
        self._tasks = {asyncio.create_task(self._accept())}

    def open(self, ports: set[int]) -> None:
        """Have a door for each of `ports`, and no others."""
        if ports != self._open:
            self._open = ports
            self._doors.open(ports)

    async def _accept(self) -> None:
        while True:
            port, client = await self._doors.accept()
            task = asyncio.create_task(self._lead(port, client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _lead(self, port: int, client: socket.socket) -> None:
        with client, CountedSocket() as outer, contextlib.suppress(OSError):
            outer.traffic = self._traffic if port not in self._internet.api else Traffic()
            outer.setblocking(False)
            outer.bind((CONTAINERS_ADDRESS, 0))
            await asyncio.get_running_loop().sock_connect(outer, (PUBLIC_ADDRESS, port))
            await relay(client, outer)

    async def close(self) -> None:
        """Close all doors, and drop every connection."""
        self._internet.leave(self)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._doors.close()
