"""The first process of a container: starts programs and opens sockets for the simulator.

Talks over one socketpair (its standard input) that the simulator holds the other end of. Each
message is JSON with file descriptors; the first descriptor is a socket for the answer:

- the first message describes the container (`Container`); the answer is a descriptor of its root
  directory, or `{"error": ...}`;
- `{"socket": family}` is answered with a TCP socket of this network namespace;
- `{"doors": ports}` makes it listen at those of 127.0.0.1, or at others once a list of them was sent the
  other way; each connection follows as its port and a descriptor;
- `{"argv", "env", "cwd"}` with three more descriptors runs a program on them; without them, on a
  new terminal whose master is the answer's descriptor. `{"exit": n}` or `{"signal": n}` follows
  when it has ended; a number sent the other way is a signal for its process group.

When the simulator closes its end or dies, everything here dies with it. Knows nothing of SSH.
Runs in a bare interpreter: standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import selectors
import signal
import socket
import sys
import termios
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from simulator.machine import namespaces

MESSAGE_LIMIT = 2**19
PR_SET_CHILD_SUBREAPER = 36


class Agent:
    """Serves one simulator until its end of the socket is closed."""

    def __init__(self, control: socket.socket) -> None:
        """Serve what arrives on `control`."""
        self._control = control
        self._replies: dict[int, socket.socket] = {}
        self._doors: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Answer requests until the simulator is gone."""
        wakeup, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(wakeup, selectors.EVENT_READ)
        self._selector.register(self._control, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._control:
                    data, fds = _receive(self._control)
                    if not data:
                        return
                    self._answer(json.loads(data), fds)
                elif key.fileobj == wakeup:
                    os.read(wakeup, 512)
                    self._reap()
                else:
                    key.data()

    def _answer(self, request: dict[str, Any], fds: list[int]) -> None:
        reply = socket.socket(fileno=fds[0])
        if "socket" in request:
            with reply, socket.socket(request["socket"], socket.SOCK_STREAM) as made:
                _send_fd(reply, made.fileno())
            return
        if "doors" in request:
            self._selector.register(reply, selectors.EVENT_READ, partial(self._change_doors, reply))
            self._open_doors(reply, set(request["doors"]))
            return
        streams = fds[1:]
        if not streams:
            master, terminal = os.openpty()
            _send_fd(reply, master)
            os.close(master)
            streams = [terminal]
        pid = os.fork()
        if pid == 0:
            _run(request["argv"], request["env"], request["cwd"], streams)
        for fd in streams:
            os.close(fd)
        self._replies[pid] = reply
        self._selector.register(reply, selectors.EVENT_READ, partial(self._relay_signal, pid))

    def _reap(self) -> None:
        """Collect every ended child: programs, and orphans that process 1 inherited."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if reply := self._replies.pop(pid, None):
                    code = os.waitstatus_to_exitcode(status)
                    self._close(reply, {"exit": code} if code >= 0 else {"signal": -code})

    def _relay_signal(self, pid: int) -> None:
        if reply := self._replies.get(pid):
            if number := reply.recv(16):
                try:
                    os.killpg(pid, int(number))
                except ProcessLookupError:  # it has not become the leader of its group yet
                    os.kill(pid, int(number))
            else:
                self._selector.unregister(reply)

    def _change_doors(self, reply: socket.socket) -> None:
        if message := reply.recv(MESSAGE_LIMIT):
            self._open_doors(reply, set(json.loads(message)))
        else:
            self._selector.unregister(reply)
            self._open_doors(reply, set())

    def _open_doors(self, reply: socket.socket, ports: set[int]) -> None:
        """Listen at `ports` and no others."""
        for port in self._doors.keys() - ports:
            door = self._doors.pop(port)
            self._selector.unregister(door)
            door.close()
        for port in ports - self._doors.keys():
            with contextlib.suppress(OSError):  # a program here has it
                door = self._doors[port] = socket.create_server(("127.0.0.1", port), backlog=128)
                door.setblocking(False)
                self._selector.register(door, selectors.EVENT_READ, partial(_pass_on, door, port, reply))

    def _close(self, reply: socket.socket, answer: dict[str, int]) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(reply)
        with reply, contextlib.suppress(OSError):
            reply.send(json.dumps(answer).encode())


def _run(argv: list[str], env: dict[str, str], cwd: str, streams: list[int]) -> NoReturn:
    try:
        os.setsid()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores
        if len(streams) == 1:
            fcntl.ioctl(streams[0], termios.TIOCSCTTY, 0)
        for target in range(3):
            os.dup2(streams[min(target, len(streams) - 1)], target)
        os.chdir(cwd)
        os.execvpe(argv[0], argv[1:], env)  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    data, fds, *_ = socket.recv_fds(control, MESSAGE_LIMIT, 4)
    for fd in fds:
        os.set_inheritable(fd, False)
    return data, fds


def _send_fd(reply: socket.socket, fd: int) -> None:
    socket.send_fds(reply, [b"{}"], [fd])


def _pass_on(door: socket.socket, port: int, reply: socket.socket) -> None:
    """Hand a connection at a door to the simulator, unless either has gone."""
    with contextlib.suppress(OSError), door.accept()[0] as client:
        socket.send_fds(reply, [json.dumps(port).encode()], [client.fileno()])


def _disguise() -> None:
    """Show the command line that process 1 of a rented container has."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    title = b"/bin/bash /.launch"[: end - start - 2]
    # The kernel shows the text up to its zero byte only if the last byte of the area is not one.
    ctypes.memmove(start, title + bytes(end - start - len(title) - 1) + b"-", end - start)


def _descendants() -> list[int]:
    """Processes that were started here, by their parents in `/proc`."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def _kill_descendants() -> None:
    while alive := _descendants():
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def main() -> None:
    """Become the container that the first message describes, and serve."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    data, fds = _receive(control)
    reply = socket.socket(fileno=fds[0])
    container: namespaces.Container = json.loads(data)
    isolated = container["isolation"] != "none"
    try:
        if isolated:
            namespaces.unshare(container)
            if child := os.fork():
                control.close()
                reply.close()
                sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            namespaces.enter(container)
            _disguise()
        else:
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            if container["full_disk"]:
                resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    except OSError as error:
        reply.send(json.dumps({"error": str(error)}).encode())
        sys.exit(1)
    with reply:
        _send_fd(reply, os.open("/", os.O_PATH))
    Agent(control).serve()
    # Before the sockets here close: no program may notice the end of its session and react.
    if isolated:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    else:
        _kill_descendants()
    os._exit(0)


if __name__ == "__main__":
    main()
