"""The machines behind the contracts: orders to them, one at a time for each, and their answers.

Machines take real time to start and stop; the contracts live in virtual time. This is the only
place where the two meet. It knows specs and hosts, not contracts or money.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from simulator.clock import Clock
from simulator.machine.spec import Host, MachineSpec, Traffic

MakeHost = Callable[[MachineSpec, Clock, Path], Host]
Answer = Callable[[Host | None, str], None]
log = logging.getLogger(__name__)


class Hosts:
    """Every machine that exists, by contract id."""

    def __init__(self, make_host: MakeHost, clock: Clock, root: Path) -> None:
        """Make machines with `make_host`, their file trees under `root`."""
        self._make_host, self._clock, self._root = make_host, clock, root
        self._hosts: dict[int, Host] = {}
        self._counted: dict[int, Traffic] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def prepare(self, spec: MachineSpec) -> Host:
        """Return the machine of a contract; made now unless it was before."""
        number = spec.contract_id
        if number not in self._hosts:
            self._hosts[number] = self._make_host(spec, self._clock, self._root / str(number))
        return self._hosts[number]

    def boot(self, spec: MachineSpec, keys: list[str], answer: Answer) -> None:
        """Start the machine; `answer` gets the host, or None and what went wrong."""

        async def run() -> None:
            try:
                host = self.prepare(spec)
                host.set_authorized_keys(keys)
                await host.start()
            except Exception as error:
                log.exception("machine of contract %s did not start", spec.contract_id)
                answer(None, str(error))
            else:
                answer(host, "")

        self._queue(spec.contract_id, run())

    def halt(self, number: int) -> None:
        """Stop the machine; its files stay."""

        async def run() -> None:
            if (host := self._hosts.get(number)) is not None:
                await host.stop()

        self._queue(number, run())

    def remove(self, number: int) -> None:
        """Destroy the machine and its files."""

        async def run() -> None:
            if (host := self._hosts.pop(number, None)) is not None:
                self._counted.pop(number, None)
                await host.destroy()

        self._queue(number, run())

    def get(self, number: int) -> Host | None:
        """Return the machine of a contract, if it was ever started."""
        return self._hosts.get(number)

    def new_traffic(self, number: int) -> tuple[int, int]:
        """Return bytes down and up since the last call."""
        host = self._hosts.get(number)
        if host is None:
            return 0, 0
        seen = self._counted.get(number, Traffic())
        now = self._counted[number] = Traffic(host.traffic.down, host.traffic.up)
        return max(0, now.down - seen.down), max(0, now.up - seen.up)

    def _queue(self, number: int, work: Coroutine[Any, Any, None]) -> None:
        lock = self._locks.setdefault(number, asyncio.Lock())

        async def run() -> None:
            async with lock:
                try:
                    await work
                except Exception:
                    log.exception("machine of contract %s", number)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def busy(self) -> bool:
        """Return whether an order is being carried out."""
        return bool(self._tasks)

    async def idle(self) -> None:
        """Wait until every order has been carried out."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stop every machine, files kept."""
        for number in list(self._hosts):
            self.halt(number)
        await self.idle()
