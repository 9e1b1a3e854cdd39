"""A rented machine: boots, serves its ports, dies and keeps its disk, as the contracts order.

Puts together files, sandbox, SSH and ports. Knows nothing of offers, money or the REST API.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from simulator.machine import environment, image
from simulator.machine.filesystem import ADDRESS, Files
from simulator.machine.internet import PUBLIC_ADDRESS, Internet, WayOut
from simulator.machine.ports import PublicPort, relay, reserve
from simulator.machine.sandbox import Isolation, Sandbox, SandboxError
from simulator.machine.session import Account
from simulator.machine.spec import Traffic
from simulator.machine.sshd import Sshd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from simulator.clock import Clock
    from simulator.machine.spec import Host, MachineSpec

WEB_VARIABLE = "FRAGUA_SIMULATOR_WEB"
MAX_PORT = 65535

log = logging.getLogger(__name__)


class Machine:
    """One machine on this host; see `simulator.machine.spec.Host` for its life."""

    def __init__(
        self,
        spec: MachineSpec,
        clock: Clock,
        root: Path,
        *,
        isolation: Isolation | None = None,
        web: Path | None = None,
        internet: Internet | None = None,
    ) -> None:
        """Describe a machine whose files live under `root`.

        Args:
            spec: what it looks like.
            clock: its time.
            root: directory of its own; a machine that was here before keeps its disk and host key.
            isolation: how far it is kept apart; by default as far as this host allows.
            web: folder tree `<host>/<path>` that stands for the internet.
            internet: what it reaches from inside; nothing by default.
        """
        self._spec = spec
        self._clock = clock
        self._scale = 0.0
        self._wanted = isolation
        self._internet = internet or Internet()
        self._files = Files(root, spec, web)
        self._files.create()
        self._log = root / "log"
        self._host_key = root / "host_key"
        if not self._host_key.exists():
            key = asyncssh.generate_private_key("ssh-ed25519")
            self._host_key.touch(0o600)
            self._host_key.write_bytes(key.export_private_key())
        self._proxy = _reserve_again(root / "proxy_port")
        self._proxy_port: int = self._proxy.getsockname()[1]
        self._sandbox: Sandbox | None = None
        self._listening: list[PublicPort] = []
        self._way_out: WayOut | None = None
        self._held: list[socket.socket] = []
        self._ports: dict[str, int] = {}
        self._keys: list[str] = []
        self._traffic = Traffic()
        self._reports = self._files.host_path("/run/traffic")
        self._read = self._reports.stat().st_size if self._reports.exists() else 0

    @property
    def traffic(self) -> Traffic:
        """Bytes over the public ports, and those that programs inside say they transferred."""
        with contextlib.suppress(OSError), self._reports.open("rb") as reports:
            reports.seek(self._read)
            complete, newline, _ = reports.read().rpartition(b"\n")
            self._read += len(complete + newline)
            for direction, size in re.findall(rb"^(down|up) (\d+)$", complete, re.MULTILINE):
                if direction == b"down":
                    self._traffic.down += int(size)
                else:
                    self._traffic.up += int(size)
        return self._traffic

    @property
    def isolation(self) -> Isolation | None:
        """How far the running machine is kept apart from the host; None while it is down."""
        return self._sandbox.isolation if self._sandbox else None

    @property
    def ports(self) -> dict[str, int]:
        """Container port to public port; empty while down."""
        return dict(self._ports)

    @property
    def proxy_port(self) -> int:
        """Port of the SSH proxy endpoint; stays the same over stop and start."""
        return self._proxy_port

    async def start(self) -> None:
        """Boot: container, public ports, SSH, onstart. Returns once sshd accepts.

        Raises:
            SandboxError: the isolation that was asked for is not to be had on this host.
        """
        if self._sandbox:
            return
        self._sandbox = await self._open_sandbox()
        try:
            self._write_facts()
            asked = self._open_ports(self._sandbox)
            self._join(self._sandbox)
            variables = environment.container_environment(self._spec, asked, self._keys, PUBLIC_ADDRESS)
            if image.is_vast_image(self._spec.image):
                text = environment.format_environment(variables)
                self._files.host_path("/etc/environment").write_text(text)
            self._run_onstart(self._sandbox, variables)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Kill every process and close every port; the file tree stays."""
        if self._sandbox:  # before its ports: a closed connection would let programs react
            sandbox, self._sandbox = self._sandbox, None
            await sandbox.close()
        if self._way_out:
            way_out, self._way_out = self._way_out, None
            await way_out.close()
        for held in self._held:
            held.close()
        await asyncio.gather(*(port.close() for port in self._listening))
        self._held, self._listening, self._ports = [], [], {}

    async def destroy(self) -> None:
        """Stop, and remove the file tree."""
        await self.stop()
        self._proxy.close()
        await asyncio.to_thread(self._files.remove)

    def set_authorized_keys(self, keys: list[str]) -> None:
        """Rewrite authorized_keys, as the platform does; lines added from inside are lost."""
        self._keys = list(keys)
        file = self._files.host_path("/root/.ssh/authorized_keys")
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.touch(0o600)
        new.write_text("".join(f"{key.strip()}\n" for key in keys))
        new.replace(file)

    def logs(self) -> str:
        """Return what the container has printed so far (onstart)."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def _open_sandbox(self) -> Sandbox:
        """Open the strongest sandbox there is; say so aloud when it is none."""
        refusals = []
        choices = [self._wanted] if self._wanted else list(Isolation)
        for isolation in choices:
            self._files.isolation = isolation
            image.install(self._files, self._spec)
            try:
                sandbox = await Sandbox.open(self._files.container(isolation))
            except SandboxError as error:
                refusals.append(str(error))
                continue
            if isolation is Isolation.NONE and refusals:
                log.warning(
                    "machine %s shares this host's files and network: %s; WORKSPACE leads to its tree",
                    self._spec.contract_id,
                    "; ".join(refusals),
                )
            return sandbox
        raise SandboxError("; ".join(refusals))

    def _join(self, sandbox: Sandbox) -> None:
        """Let the container reach the internet, and no more of this host; not even the control plane."""
        if sandbox.isolation is Isolation.NONE:
            return
        self._way_out = WayOut(sandbox.doors(self._internet.api), self._internet, self._traffic)
        ssh = self._ports.get("22/tcp")
        self._internet.join(
            self._way_out,
            (port for name, port in self._ports.items() if name.endswith("/tcp") and port != ssh),
        )

    def _open_ports(self, sandbox: Sandbox) -> dict[str, int]:
        """Open every public port; return the numbers by the port that was asked for."""
        asked: dict[str, int] = {}
        runtype = self._spec.runtype
        if "ssh" in runtype or "jupyter" in runtype:
            serve = self._hold if "dead_ssh" in self._spec.faults else self._make_sshd(sandbox).serve
            self._listen(serve, self.proxy_port)
            if "direc" in runtype:
                self._ports["22/tcp"] = asked["22/tcp"] = self._listen(serve)
            if "jupyter_direc" in runtype:
                self._ports["8080/tcp"] = asked["8080/tcp"] = self._publish(sandbox, 8080)
        for port, protocol in environment.published(self._spec):
            if f"{port}/{protocol}" in asked:
                continue
            public = self._publish(sandbox, port) if protocol == "tcp" else self._hold_udp()
            asked[f"{port}/{protocol}"] = public
            inside = port if port <= MAX_PORT else public
            self._ports[f"{inside}/{protocol}"] = public
        return asked

    def _listen(self, serve: Callable[[socket.socket], Awaitable[None]], number: int = 0) -> int:
        port = PublicPort(self._traffic, serve, number)
        self._listening.append(port)
        return port.number

    def _publish(self, sandbox: Sandbox, port: int) -> int:
        """Lead a public port to a port of the container (above 65535: to the same number)."""
        address = PUBLIC_ADDRESS if sandbox.isolation is Isolation.NONE else ADDRESS

        async def serve(client: socket.socket) -> None:
            inside = port if port <= MAX_PORT else public
            with await sandbox.connect(address, inside) as inner:
                await relay(client, inner)

        public = self._listen(serve)
        return public

    def _hold_udp(self) -> int:
        """Take a UDP port that leads nowhere: the simulator relays TCP only."""
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind((PUBLIC_ADDRESS, 0))
        self._held.append(sock)
        return int(sock.getsockname()[1])

    async def _hold(self, _client: socket.socket) -> None:
        """Accept and never answer."""
        await asyncio.get_running_loop().create_future()

    def _make_sshd(self, sandbox: Sandbox) -> Sshd:
        home = Path(self._files.seen_path("/root"))
        return Sshd(Account(sandbox, home, self._session_environment), self._host_key)

    def _session_environment(self) -> dict[str, str]:
        self._write_facts()
        try:
            text = self._files.host_path("/etc/environment").read_text()
        except OSError:
            text = ""
        return self._own_environment() | environment.parse_environment(text)

    def _own_environment(self) -> dict[str, str]:
        return self._files.environment() | image.environment(self._files, self._spec)

    def _write_facts(self) -> None:
        if self._scale != self._clock.scale:
            self._scale = self._clock.scale
            image.write_facts(self._files, self._spec, self._scale)

    def _run_onstart(self, sandbox: Sandbox, variables: dict[str, str]) -> None:
        if not self._spec.onstart:
            return
        self._files.host_path("/root/onstart.sh").write_text(self._spec.onstart)
        argv = ["/bin/bash", "bash", self._files.seen_path("/root/onstart.sh")]
        with self._log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
            streams = nothing.fileno(), output.fileno(), output.fileno()
            env = self._own_environment() | variables
            sandbox.spawn(argv, env, env["HOME"], *streams).close()


def make_host(spec: MachineSpec, clock: Clock, root: Path, *, internet: Internet) -> Host:
    """Return the machine of a contract, down; its files live under `root`, it reaches that `internet`."""
    web = os.environ.get(WEB_VARIABLE)
    return Machine(spec, clock, root, web=Path(web) if web else None, internet=internet)


def _reserve_again(file: Path) -> socket.socket:
    """Reserve the port that `file` names, or any other if it is taken by now."""
    try:
        return reserve(int(file.read_text()))
    except (OSError, ValueError):
        sock = reserve()
        file.write_text(str(sock.getsockname()[1]))
        return sock
