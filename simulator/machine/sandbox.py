"""A container from the outside: run a program in it, connect to its ports, kill it.

The other end of `simulator.machine.agent`. Knows nothing of SSH or of what is installed inside.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import os
import socket
import sys
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from simulator.machine.agent import MESSAGE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.machine.namespaces import Container

CHUNK = 2**18
GONE = "the container is gone"


class Isolation(enum.Enum):
    """How far a machine is kept apart from the host."""

    NAMESPACES = "namespaces"
    USER_NAMESPACES = "user namespaces"
    NONE = "none"


class SandboxError(Exception):
    """The kernel refused to make a container; the message says which step and why."""


@dataclass
class Program:
    """A program that runs inside, and this end of its standard streams.

    Attributes:
        stdin: descriptor that `write` writes to (the terminal's master when it has one); -1 once closed.
        stdout: descriptor to read from.
        stderr: descriptor to read from; None with a terminal.
    """

    stdin: int
    stdout: int
    stderr: int | None
    _reply: socket.socket

    def __post_init__(self) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                os.set_blocking(stream, False)

    async def wait(self) -> int:
        """Return the exit code, or minus the number of the signal that ended it.

        Raises:
            ConnectionResetError: the container was killed.
        """
        with self._reply:
            answer = await asyncio.get_running_loop().sock_recv(self._reply, 1024)
        if not answer:
            raise ConnectionResetError(GONE)
        outcome = json.loads(answer)
        return int(outcome["exit"]) if "exit" in outcome else -int(outcome["signal"])

    async def read(self, stream: int) -> bytes:
        """Return what the program has written to `stdout` or `stderr`; nothing at its end.

        Raises:
            OSError: the terminal has been hung up.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(stream, CHUNK)
            except BlockingIOError:
                await _until(loop.add_reader, loop.remove_reader, stream)

    async def write(self, data: bytes) -> None:
        """Write all of `data` to standard input.

        Raises:
            OSError: the program no longer reads it.
        """
        loop = asyncio.get_running_loop()
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self.stdin, left) :]
            except BlockingIOError:
                await _until(loop.add_writer, loop.remove_writer, self.stdin)

    def close(self, stream: int) -> None:
        """Close this end of a stream."""
        os.close(stream)
        if stream == self.stdin:
            self.stdin = -1

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the program's terminal."""
        if self.stdin >= 0:
            termios.tcsetwinsize(self.stdin, (rows, columns))

    def send_signal(self, number: int) -> None:
        """Send a signal to the program's process group, if it still runs."""
        with contextlib.suppress(OSError):
            self._reply.send(str(number).encode())


class Doors:
    """Ports at 127.0.0.1, as seen from inside, behind which the simulator is.

    The container's first process holds them, so that they take no descriptors here.
    """

    def __init__(self, reply: socket.socket) -> None:
        """Talk to the container over `reply`."""
        self._reply = reply

    def open(self, ports: set[int]) -> None:
        """Listen at `ports` and no others; a port that a program inside has is that program's."""
        with contextlib.suppress(OSError):  # the container is gone
            self._reply.send(json.dumps(sorted(ports)).encode())

    async def accept(self) -> tuple[int, socket.socket]:
        """Return the next connection, and the port that it was made to.

        Raises:
            ConnectionResetError: the container is gone.
        """
        data, fds = await _receive(self._reply)
        if not fds:
            raise ConnectionResetError(GONE)
        client = socket.socket(fileno=fds[0])
        client.setblocking(False)
        return json.loads(data), client

    def close(self) -> None:
        """Listen no more."""
        self._reply.close()


class Sandbox:
    """One running container.

    Attributes:
        isolation: how far it is kept apart from the host.
        root: the container's `/` as this process can reach it.
    """

    def __init__(
        self,
        isolation: Isolation,
        control: socket.socket,
        agent: asyncio.subprocess.Process,
        root: int,
    ) -> None:
        """Take over an agent that is ready; see `open`."""
        self.isolation = isolation
        self.root = Path(f"/proc/self/fd/{root}")
        self._root = root
        self._control = control
        self._agent = agent

    @classmethod
    async def open(cls, container: Container) -> Self:
        """Start a container.

        Raises:
            SandboxError: this host does not allow that isolation.
        """
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_LIMIT)
        with theirs:
            # -S -E: nothing of the host's environment or site packages leads the agent astray.
            agent = await asyncio.create_subprocess_exec(
                *(sys.executable, "-S", "-E", "-s", "-m", "simulator.machine.agent"),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,
                cwd=Path(__file__).parents[2],
                start_new_session=True,  # a Ctrl-C in the terminal is for the simulator to handle
                env={key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ},
            )
        reply = _ask(control, container)
        with reply:
            data, fds = await _receive(reply)
        if not fds:
            control.close()
            await agent.wait()
            reason = json.loads(data)["error"] if data else "its first process died"
            raise SandboxError(
                f"no container with isolation {container['isolation']!r} on this host: {reason}"
            )
        return cls(Isolation(container["isolation"]), control, agent, fds[0])

    async def run(self, argv: list[str], env: dict[str, str], cwd: str, *, terminal: bool = False) -> Program:
        """Start a program; `argv` is the file, then its arguments from the zeroth on.

        Raises:
            OSError: the arguments are too long.
        """
        if terminal:
            reply = _ask(self._control, {"argv": argv, "env": env, "cwd": cwd})
            master = await _receive_fd(reply)
            return Program(master, os.dup(master), None, reply)
        stdin, to_stdin = os.pipe()
        from_stdout, stdout = os.pipe()
        from_stderr, stderr = os.pipe()
        try:
            reply = self.spawn(argv, env, cwd, stdin, stdout, stderr)
        except OSError:
            for fd in (to_stdin, from_stdout, from_stderr):
                os.close(fd)
            raise
        finally:
            for fd in (stdin, stdout, stderr):
                os.close(fd)
        return Program(to_stdin, from_stdout, from_stderr, reply)

    def spawn(self, argv: list[str], env: dict[str, str], cwd: str, *streams: int) -> socket.socket:
        """Start a program on three descriptors of the caller's; its end is said on the socket."""
        return _ask(self._control, {"argv": argv, "env": env, "cwd": cwd}, *streams)

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a socket connected to `host` (an IP address) as seen from inside.

        Raises:
            OSError: nothing listens there, or there is no way to that address.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with _ask(self._control, {"socket": family}) as reply:
            fd = await _receive_fd(reply)
        inner = socket.socket(fileno=fd)
        inner.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(inner, (host, port))
        except BaseException:
            inner.close()
            raise
        return inner

    def doors(self, ports: set[int]) -> Doors:
        """Return what takes connections that programs inside make to those `ports` of 127.0.0.1."""
        return Doors(_ask(self._control, {"doors": sorted(ports)}))

    async def close(self) -> None:
        """Kill every process of the container at once; returns when all are gone."""
        self._control.close()
        await self._agent.wait()
        os.close(self._root)


def _ask(control: socket.socket, request: Any, *fds: int) -> socket.socket:
    """Send a request and return the socket on which its answers arrive."""
    reply, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reply.setblocking(False)
    with theirs:
        try:
            socket.send_fds(control, [json.dumps(request).encode()], [theirs.fileno(), *fds])
        except OSError:
            reply.close()
            raise
    return reply


async def _receive_fd(reply: socket.socket) -> int:
    _, fds = await _receive(reply)
    if not fds:
        raise ConnectionResetError(GONE)
    return fds[0]


async def _receive(reply: socket.socket) -> tuple[bytes, list[int]]:
    loop = asyncio.get_running_loop()
    await _until(loop.add_reader, loop.remove_reader, reply.fileno())
    data, fds, *_ = socket.recv_fds(reply, MESSAGE_LIMIT, 1)
    for fd in fds:
        os.set_inheritable(fd, False)
    return data, fds


async def _until(add: Callable[..., None], remove: Callable[[int], bool], fd: int) -> None:
    """Wait until the event loop calls back what `add` registers for a descriptor."""
    ready = asyncio.get_running_loop().create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    add(fd, wake)
    try:
        await ready
    finally:
        remove(fd)
