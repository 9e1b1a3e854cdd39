"""A slower way to a machine: a port of this computer that passes on only so many bytes a second."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK: Final = 1 << 16


@contextmanager
def relay(port: int, rate: float) -> Iterator[int]:
    """Yield a port on loopback that leads to `port`, with `rate` bytes a second in each direction."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _CHUNK)
        threading.Thread(target=_accept, args=(server, port, rate), daemon=True).start()
        yield server.getsockname()[1]


def _accept(server: socket.socket, port: int, rate: float) -> None:
    with suppress(OSError):  # it was closed
        while True:
            client, _ = server.accept()
            there = socket.create_connection(("127.0.0.1", port))
            for each in (client, there):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((client, there), (there, client)):
                threading.Thread(target=_pump, args=(*pair, rate), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, rate: float) -> None:
    due = time.monotonic()
    with suppress(OSError):  # the other direction's pump has closed both
        while block := source.recv(_CHUNK):
            sink.sendall(block)
            due = max(due, time.monotonic() - 0.01) + len(block) / rate
            time.sleep(max(0.0, due - time.monotonic()))
    source.close()
    sink.close()
