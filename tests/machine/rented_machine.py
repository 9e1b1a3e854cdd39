"""Machines on this host, driven from outside by real SSH clients."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
import pytest

from simulator.clock import Clock
from simulator.machine.host import Machine
from simulator.machine.internet import Internet
from simulator.machine.sandbox import Isolation, SandboxError
from simulator.machine.spec import MachineSpec

T = TypeVar("T")

SPEC = MachineSpec(
    contract_id=4711,
    image="vastai/pytorch:2.7.1-cu128",
    env={"GREETING": "hello there", "-p 8188:8188": "1"},
    onstart=None,
    runtype="ssh_direc ssh_proxy",
    gpu_name="NVIDIA A100-SXM4-80GB",
    gpu_count=2,
    gpu_ram=81920,
    driver_version="570.124.04",
    cuda_max_good=12.8,
    cpu_cores=24,
    ram=128000,
    disk=80,
    inet_down=900,
    inet_up=400,
    container_api_key="instance-key",
)


def poll(condition: Callable[[], T], seconds: float = 10) -> T:
    """Return the first true value of `condition`, or fail."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return value


class LoopThread:
    """The simulator's event loop, in a thread of its own."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.errors.append(str(context)))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Rented:
    """A machine with what a customer knows of it: its ports, its host key, the own key."""

    host: Machine
    root: Path
    key: Path
    loop: LoopThread
    home: str = "/root"
    workspace: str = "/workspace"

    @property
    def direct(self) -> int:
        return self.host.ports["22/tcp"]

    @property
    def host_key(self) -> str:
        """The public host key as a customer's scan finds it."""
        scan = ("ssh-keyscan", "-t", "ed25519", "-p", str(self.direct), "127.0.0.1")
        found = subprocess.run(scan, capture_output=True, text=True, check=True).stdout
        return found.split(maxsplit=1)[1]

    @cached_property
    def known_hosts(self) -> Path:
        """A file that pins the host key, as read from the machine's own files."""
        key = asyncssh.read_private_key(self.root / "host_key").export_public_key().decode()
        file = self.root.with_name(f"{self.root.name}.known_hosts")
        file.write_text(f"[127.0.0.1]:* {key}")
        return file

    def options(self) -> list[str]:
        return [
            *("-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.known_hosts}"),
            *("-o", "LogLevel=ERROR"),
        ]

    def ssh(
        self,
        command: str,
        *options: str,
        stdin: bytes = b"",
        port: int | None = None,
        user: str = "root",
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command with OpenSSH's client."""
        where = ("-p", str(port or self.direct), f"{user}@127.0.0.1")
        argv = ["ssh", *self.options(), *options, *where, *([command] if command else [])]
        return subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=False)

    def output(self, command: str, **kwargs: Any) -> str:
        """Return what a command prints; it must succeed."""
        done = self.ssh(command, **kwargs)
        assert done.returncode == 0, done
        return done.stdout.decode()

    def connect(self, **kwargs: Any) -> asyncssh.SSHClientConnection:
        """Return a connection for `async with`, on the loop of the test's own."""
        return asyncssh.connect(
            "127.0.0.1", self.direct, username="root", client_keys=[str(self.key)], known_hosts=None,
            config=None, **kwargs,
        )  # fmt: skip

    def start(self) -> None:
        self.loop.run(self.host.start())

    def stop(self) -> None:
        self.loop.run(self.host.stop())

    def destroy(self) -> None:
        self.loop.run(self.host.destroy())


@dataclass
class Yard:
    """Where a test's machines stand; all are destroyed at its end."""

    root: Path
    key: Path
    loop: LoopThread
    rented: list[Rented] = field(default_factory=list)
    internet: Internet = field(default_factory=Internet)

    def make(
        self,
        *,
        isolation: Isolation | None = None,
        name: str | None = None,
        web: Path | None = None,
        clock: Clock | None = None,
        **changes: Any,
    ) -> Rented:
        """Return a machine that is down."""

        async def build() -> Machine:
            spec = replace(SPEC, **changes)
            return Machine(
                spec, clock or Clock(60), root, isolation=isolation, web=web, internet=self.internet
            )

        root = self.root / (name or f"machine{len(self.rented)}")
        machine = Rented(self.loop.run(build()), root, self.key, self.loop)
        if isolation is Isolation.NONE:
            machine.home, machine.workspace = f"{root}/rootfs/root", f"{root}/rootfs/workspace"
        machine.host.set_authorized_keys([self.key.with_suffix(".pub").read_text()])
        self.rented.append(machine)
        return machine

    def rent(self, **kwargs: Any) -> Rented:
        """Return a running machine."""
        machine = self.make(**kwargs)
        try:
            machine.start()
        except SandboxError as error:
            pytest.skip(str(error))
        return machine


def new_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
