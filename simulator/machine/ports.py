"""Public TCP ports of a machine, and the bytes that cross them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from typing_extensions import Buffer

    from simulator.machine.spec import Traffic

CHUNK = 2**18


class CountedSocket(socket.socket):
    """A socket that adds what passes through it to a machine's traffic.

    Counting here costs no copy: asyncio calls these methods for every byte (`sendmsg` since 3.12).
    """

    traffic: Traffic

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive, as traffic into the machine."""
        data = super().recv(bufsize, flags)
        # ssh leaves Nagle on while it logs in: a late ACK would cost each login 40 ms.
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.traffic.down += len(data)
        return data

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """Send, as traffic out of the machine."""
        sent = super().send(data, flags)
        self.traffic.up += sent
        return sent

    def sendmsg(
        self,
        buffers: Iterable[Buffer],
        ancdata: Iterable[tuple[int, int, Buffer]] = (),
        flags: int = 0,
        address: Any = None,
        /,
    ) -> int:
        """Send several pieces, as traffic out of the machine."""
        sent = super().sendmsg(buffers, ancdata, flags, address)
        self.traffic.up += sent
        return sent


def reserve(number: int = 0) -> socket.socket:
    """Bind a loopback port (any free one by default) without listening: no one else gets it.

    Raises:
        OSError: the port is taken.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setblocking(False)
    try:
        sock.bind(("127.0.0.1", number))
    except OSError:
        sock.close()
        raise
    return sock


class PublicPort:
    """A listening port; each connection is served by a task of its own.

    Attributes:
        number: the port.
    """

    def __init__(
        self,
        traffic: Traffic,
        serve: Callable[[socket.socket], Awaitable[None]],
        number: int = 0,
    ) -> None:
        """Listen on `number` (any free port by default); `serve` owns the socket it is given."""
        self._traffic = traffic
        self._serve = serve
        self._listener = reserve(number)
        self._listener.listen(128)
        self.number: int = self._listener.getsockname()[1]
        self._tasks = {asyncio.create_task(self._accept())}

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError:  # the client has left again, or there are no descriptors just now
                await asyncio.sleep(0.05)
                continue
            counted = CountedSocket(fileno=accepted.detach())
            counted.setblocking(False)
            counted.traffic = self._traffic
            task = asyncio.create_task(self._handle(counted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            await self._serve(sock)

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()


async def relay(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes both ways until both sides have said their last."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(one, other))
            both.create_task(_pump(other, one))
    except* OSError:  # a side that is gone ends the relay, as an end of file does
        pass


async def _pump(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(source, CHUNK):
            await loop.sock_sendall(sink, data)
    finally:
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
