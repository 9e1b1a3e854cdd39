"""The SSH server of a machine: who may log in, and where forwarded connections lead.

Behaves as OpenSSH with its default configuration and `PermitRootLogin prohibit-password`: root
only, keys only, read from authorized_keys at each login; no environment is taken from clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import asyncssh
from asyncssh.forward import SSHForwarder

from simulator.machine.session import Session

if TYPE_CHECKING:
    import socket

    from simulator.machine.session import Account

LOOPBACK = {"localhost": ("127.0.0.1", "::1"), "": ("127.0.0.1", "::1")}


class Sshd:
    """Serves SSH on sockets that others accept."""

    def __init__(self, account: Account, host_key: Path) -> None:
        """Let root's keys into `account`; `host_key` is the file of the private host key."""
        self.account = account
        self._options = {
            "server_factory": lambda: _Connection(self),
            "server_host_keys": [str(host_key)],
            "x11_forwarding": False,
            "agent_forwarding": False,
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
        file = Path(f"{self.account.sandbox.root}{self.account.home}/.ssh/authorized_keys")
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
                return await self.account.sandbox.connect(address, port)
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

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel[bytes], Session]:
        channel = self._connection.create_server_channel(encoding=None)
        channel.__class__ = _Channel
        return channel, Session(self._sshd.account)

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
