"""The SSH server of a machine: who may log in, and what a session runs.

Behaves as OpenSSH with its default configuration and `PermitRootLogin prohibit-password`: root
only, keys only, read from authorized_keys at each login; no environment is taken from clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, cast

import asyncssh
from asyncssh.forward import SSHForwarder

from simulator.machine.ports import CHUNK
from simulator.machine.sftp import ContainerFiles

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from asyncssh.channel import SSHChannel

    from simulator.machine.sandbox import Program, Sandbox

LOOPBACK = {"localhost": ("127.0.0.1", "::1"), "": ("127.0.0.1", "::1")}


class Sshd:
    """Serves SSH on sockets that others accept."""

    def __init__(
        self,
        sandbox: Sandbox,
        host_key: Path,
        home: Path,
        environment: Callable[[], dict[str, str]],
    ) -> None:
        """Log in to `sandbox`.

        Args:
            sandbox: where sessions run.
            host_key: file of the private host key.
            home: root's home directory, as seen inside.
            environment: what a new session finds in its environment, read at each session.
        """
        self.sandbox = sandbox
        self.home = home
        self.environment = environment
        self._options = {
            "server_factory": lambda: _Connection(self),
            "server_host_keys": [str(host_key)],
            "x11_forwarding": False,
            "agent_forwarding": False,
            "encoding": None,
        }

    async def serve(self, sock: socket.socket) -> None:
        """Serve one client until it leaves."""
        with contextlib.suppress(OSError, asyncssh.Error):
            connection = await asyncssh.run_server(sock, **self._options)
            try:
                await connection.wait_closed()
            finally:
                connection.abort()

    def may_log_in(self, user: str, key: asyncssh.SSHKey) -> bool:
        """Return whether authorized_keys lists `key` now."""
        file = Path(f"{self.sandbox.root}{self.home}/.ssh/authorized_keys")
        try:
            listed = file.read_bytes().split()
        except OSError:
            return False
        return user == "root" and key.export_public_key().split()[1] in listed

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a socket connected from inside the container.

        Raises:
            OSError: nothing listens there; only loopback and literal addresses can be reached.
        """
        failure = OSError(f"{host}: Name or service not known")
        for address in LOOPBACK.get(host, (host,)):
            try:
                return await self.sandbox.connect(address, port)
            except OSError as error:
                failure = error
        raise failure


class _Connection(asyncssh.SSHServer):
    def __init__(self, sshd: Sshd) -> None:
        self._sshd = sshd
        self._connection: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._sshd.may_log_in(username, key)

    def session_requested(
        self,
    ) -> tuple[asyncssh.SSHServerChannel[bytes], asyncssh.SSHServerSession[bytes]]:
        channel = self._connection.create_server_channel(encoding=None)
        channel.__class__ = _Channel
        return channel, _Session(self._sshd)

    async def connection_requested(
        self, dest_host: str, dest_port: int, _orig_host: str, _orig_port: int
    ) -> asyncssh.SSHTCPSession[bytes]:
        try:
            sock = await self._sshd.connect(dest_host, dest_port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, reason) from None
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_connection(SSHForwarder, sock=sock)
        return cast("asyncssh.SSHTCPSession[bytes]", SSHForwarder(peer))


class _Channel(asyncssh.SSHServerChannel[bytes]):
    def _process_env_request(self, _packet: object) -> bool:
        return False  # asyncssh itself would accept every variable


class _Session(asyncssh.SSHServerProcess[bytes]):
    def __init__(self, sshd: Sshd) -> None:
        super().__init__(self._run, self._files, sftp_version=3, allow_scp=True)
        self._sshd = sshd
        self._program: Program | None = None
        self._early_signals: list[int] = []

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def signal_received(self, signal_name: str) -> None:
        number = getattr(signal, f"SIG{signal_name}", None)
        if number is None:
            return
        if self._program:
            self._program.send_signal(number)
        else:
            self._early_signals.append(number)

    def break_received(self, _msec: int) -> bool:
        return False

    def terminal_size_changed(self, width: int, height: int, _pixwidth: int, _pixheight: int) -> None:
        if self._program:
            self._program.resize(height, width)

    def _files(self, channel: SSHChannel[bytes]) -> ContainerFiles:
        server_channel = cast("asyncssh.SSHServerChannel[bytes]", channel)
        return ContainerFiles(server_channel, self._sshd.sandbox.root, self._sshd.home)

    async def _run(self, _process: object) -> None:
        client, client_port, *_ = self.get_extra_info("peername")
        server, server_port, *_ = self.get_extra_info("sockname")
        env = self._sshd.environment() | {
            "SSH_CLIENT": f"{client} {client_port} {server_port}",
            "SSH_CONNECTION": f"{client} {client_port} {server} {server_port}",
        }
        if self.term_type is not None:
            env["TERM"] = self.term_type
        arguments = ["-bash"] if self.command is None else ["bash", "-c", self.command]
        try:
            program = await self._sshd.sandbox.run(
                ["/bin/bash", *arguments],
                env,
                str(self._sshd.home),
                terminal=self.term_type is not None,
            )
        except OSError as error:
            self.stderr.write(f"{error.strerror}\n".encode())
            self.exit(255)
            return
        self._program = program
        for number in self._early_signals:
            program.send_signal(number)
        if self.term_type is not None:
            width, height, *_ = self.term_size
            program.resize(height, width)
        # Not `redirect` for stdin: asyncio's pipe writer may drop what asyncssh hands it last.
        feeding = asyncio.create_task(self._feed(program))
        await self.redirect(stdout=program.stdout, stderr=program.stderr, send_eof=False)
        outcome = await program.wait()
        feeding.cancel()
        await self.stdout.drain()
        await self.stderr.drain()
        if outcome >= 0:
            self.exit(outcome)
        else:
            self.exit_with_signal(signal.Signals(-outcome).name.removeprefix("SIG"))
        await self.wait_closed()

    async def _feed(self, program: Program) -> None:
        """Hand the client's input to the program until either has had enough."""
        try:
            with contextlib.suppress(OSError, asyncssh.Error):
                while data := await self.stdin.read(CHUNK):
                    await program.write(data)
        finally:
            program.close_stdin()
