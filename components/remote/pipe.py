"""Bulk bytes into and out of a command on a machine, by the system's `ssh` or else by paramiko.

A script here is a command's argument: it holds no secret.
"""

from __future__ import annotations

import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BufferedWriter, RawIOBase
from tempfile import TemporaryFile
from threading import Event
from typing import IO, TYPE_CHECKING, Final

from paramiko import SSHException

from components.errors import TransferFailed
from components.remote import openssh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from paramiko import Channel
    from typing_extensions import Buffer

    from components.remote.shell import Shell

BLOCK: Final = 1 << 20

_KEEPALIVE_SECONDS: Final = 15


def pour(shell: Shell, what: str, script: str, write: Callable[[IO[bytes]], None]) -> str:
    """Run a bash `script` with what `write` writes as its input, and return what it printed.

    Args:
        shell: the machine.
        what: what the script does, in words for an error message.
        script: reads its input to the end.
        write: gets the input's stream; when it raises, the script's input ends there.

    Raises:
        RemoteError: as `openssh.check`.
    """
    if not openssh.installed():
        return _pour_by_paramiko(shell, what, script, write)
    with openssh.private(shell) as ssh, TemporaryFile() as output:
        command = [*ssh, openssh.MACHINE, _bash(script)]
        with openssh.running(what, command, stdin=subprocess.PIPE, stdout=output) as child:
            write(child.stdin)  # type: ignore[arg-type]  # it is a pipe
        output.seek(0)
        return output.read().decode(errors="replace")


def draw(shell: Shell, what: str, script: str, take: Callable[[bytes], object]) -> None:
    """Run a bash `script` and hand what it prints to `take`, block by block.

    Raises:
        RemoteError: as `openssh.check`.
    """
    if not openssh.installed():
        _draw_by_paramiko(shell, what, script, take)
        return
    with openssh.private(shell) as ssh:
        command = [*ssh, openssh.MACHINE, _bash(script)]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        with openssh.running(what, command, **streams) as child:
            while block := child.stdout.read1(BLOCK):  # type: ignore[union-attr]  # it is a pipe
                take(block)


@contextmanager
def tended(shell: Shell, what: str, script: str, *, every: float, within: float) -> Iterator[str]:
    """Run a bash `script` beside the block, and tell what it prints first.

    Args:
        shell: the machine.
        what: what the script does, in words for an error message.
        script: reads an empty line every so often, so that it can tell when nobody is there any more; its
            input ends with the block.
        every: seconds between these lines.
        within: seconds in which it says something.

    Raises:
        TransferFailed: it did not, or the connection broke off.
    """
    done = Event()
    try:
        channel = shell.connection.transport.open_session(timeout=within)
        channel.settimeout(within)
        channel.exec_command(_bash(script))
        said = channel.recv(BLOCK).decode(errors="replace").strip()
    except (SSHException, EOFError, OSError) as error:
        raise TransferFailed(f"{what}: the connection broke off: {error}. {openssh.AGAIN}") from None

    def tend() -> None:
        with suppress(SSHException, EOFError, OSError):  # what goes on in the block finds out by itself
            while not done.wait(every):
                channel.sendall(b"\n")

    with channel, ThreadPoolExecutor() as pool:
        pool.submit(tend)
        try:
            yield said
        finally:
            done.set()


def _pour_by_paramiko(shell: Shell, what: str, script: str, write: Callable[[IO[bytes]], None]) -> str:
    shell.connection.transport.set_keepalive(_KEEPALIVE_SECONDS)
    try:
        with ThreadPoolExecutor() as pool, shell.connection.transport.open_session() as channel:
            channel.exec_command(_bash(script))
            output = pool.submit(channel.makefile("rb").read)
            errors = pool.submit(channel.makefile_stderr("rb").read)
            with suppress(OSError):  # the exit code tells why it listens no more
                with BufferedWriter(_Input(channel), BLOCK) as stream:
                    write(stream)
                channel.shutdown_write()
            code = channel.recv_exit_status()
            openssh.check(what, code, errors.result().decode(errors="replace"))
            return str(output.result().decode(errors="replace"))
    except (SSHException, EOFError, OSError) as error:
        raise TransferFailed(f"{what}: the connection broke off: {error}. {openssh.AGAIN}") from None


def _draw_by_paramiko(shell: Shell, what: str, script: str, take: Callable[[bytes], object]) -> None:
    shell.connection.transport.set_keepalive(_KEEPALIVE_SECONDS)
    try:
        with shell.connection.transport.open_session() as channel:
            channel.exec_command(_bash(script))
            while block := channel.recv(BLOCK):
                take(block)
            openssh.check(what, channel.recv_exit_status(), "")
    except (SSHException, EOFError) as error:
        raise TransferFailed(f"{what}: the connection broke off: {error}. {openssh.AGAIN}") from None


class _Input(RawIOBase):
    """The input of a command; paramiko's own complains once more when it is thrown away."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        return self._channel.send(bytes(data))


def _bash(script: str) -> str:
    return f"bash -c {shlex.quote(script)}"
