"""One SSH session: a command, a login shell or a file transfer, with or without a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import asyncssh

from simulator.machine.sandbox import CHUNK
from simulator.machine.sftp import ContainerFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from asyncssh.channel import SSHChannel

    from simulator.machine.sandbox import Program, Sandbox


@dataclass(frozen=True)
class Account:
    """Where sessions run, and as what.

    Attributes:
        sandbox: the container.
        home: root's home directory, as seen inside.
        environment: what a new session finds in its environment, read at each session.
    """

    sandbox: Sandbox
    home: Path
    environment: Callable[[], dict[str, str]]


class Session(asyncssh.SSHServerProcess[bytes]):
    """A session as OpenSSH would run it for `account`."""

    def __init__(self, account: Account) -> None:
        """Wait for what the client wants of `account`."""
        super().__init__(self._run, self._files, sftp_version=3, allow_scp=True)
        self._account = account
        self._program: Program | None = None
        self._early_signals: list[int] = []
        self._pumps: list[asyncio.Task[None]] = []

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the program notice that its client is gone."""
        super().connection_lost(exc)
        for pump in self._pumps:
            pump.cancel()

    def subsystem_requested(self, subsystem: str) -> bool:
        """Refuse every subsystem but file transfer."""
        return subsystem == "sftp"

    def signal_received(self, signal_name: str) -> None:
        """Pass a signal on, however early it comes."""
        number = getattr(signal, f"SIG{signal_name}", None)
        if number is None:
            return
        if self._program:
            self._program.send_signal(number)
        else:
            self._early_signals.append(number)

    def break_received(self, _msec: int) -> bool:
        """Refuse a break, which no terminal here could make use of."""
        return False

    def terminal_size_changed(self, width: int, height: int, _pixwidth: int, _pixheight: int) -> None:
        """Resize the terminal."""
        if self._program:
            self._program.resize(height, width)

    def _files(self, channel: SSHChannel[bytes]) -> ContainerFiles:
        server_channel = cast("asyncssh.SSHServerChannel[bytes]", channel)
        return ContainerFiles(server_channel, self._account.sandbox.root, self._account.home)

    async def _run(self, _process: object) -> None:
        try:
            program = await self._start()
        except OSError as error:
            self.stderr.write(f"{error.strerror}\n".encode())
            self.exit(255)
            return
        self._program = program
        for number in self._early_signals:
            program.send_signal(number)
        # Not asyncssh's `redirect`: it loses the end of an input that asyncio's pipe writer has to
        # wait with, and reports errors for outputs that end after the client has left.
        feeding = self._pump(self._feed(program), program, program.stdin)
        showing = [
            self._pump(self._show(program, stream, writer), program, stream)
            for stream, writer in ((program.stdout, self.stdout), (program.stderr, self.stderr))
            if stream is not None
        ]
        try:
            outcome = await program.wait()
        except ConnectionError:
            self.channel.get_connection().abort()
            return
        feeding.cancel()
        await asyncio.gather(*showing, return_exceptions=True)
        if outcome >= 0:
            self.exit(outcome)
        else:
            self.exit_with_signal(signal.Signals(-outcome).name.removeprefix("SIG"))

    async def _start(self) -> Program:
        client, client_port, *_ = self.get_extra_info("peername")
        server, server_port, *_ = self.get_extra_info("sockname")
        env = self._account.environment() | {
            "SSH_CLIENT": f"{client} {client_port} {server_port}",
            "SSH_CONNECTION": f"{client} {client_port} {server} {server_port}",
        }
        arguments = ["-bash"] if self.command is None else ["bash", "-c", self.command]
        if self.term_type is not None:
            env["TERM"] = self.term_type
        program = await self._account.sandbox.run(
            ["/bin/bash", *arguments], env, str(self._account.home), terminal=self.term_type is not None
        )
        if self.term_type is not None:
            width, height, *_ = self.term_size
            program.resize(height, width)
        return program

    async def _feed(self, program: Program) -> None:
        """Hand the client's input to the program until either has had enough."""
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await self.stdin.read(CHUNK):
                await program.write(data)

    async def _show(self, program: Program, stream: int, writer: asyncssh.SSHWriter[bytes]) -> None:
        """Hand an output of the program to the client."""
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await program.read(stream):
                writer.write(data)
                await writer.drain()

    def _pump(self, pump: Coroutine[None, None, None], program: Program, stream: int) -> asyncio.Task[None]:
        """Start a task that ends with the session at the latest; then the stream is closed."""
        task = asyncio.create_task(pump)
        task.add_done_callback(lambda _: program.close(stream))
        self._pumps.append(task)
        return task
