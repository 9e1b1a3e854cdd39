"""Ports: published, forwarded over SSH, private to each machine; and the bytes that cross them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import asyncssh
import pytest
from rented_machine import Rented, Yard, poll

from simulator.machine.sandbox import Isolation

MEGABYTE = 1_000_000
SERVES_TWO = "cd /root; echo two > name; seq 100000 > large; python3 -m http.server 8188"
SERVER = """
from http.server import *
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("{address}", {port}), SimpleHTTPRequestHandler).serve_forever()
"""


def serve(machine: Rented, port: int, name: str, address: str = "0.0.0.0") -> None:
    program = SERVER.format(address=address, port=port).encode()
    machine.output(f"cat > ~/app.py; echo {name} > ~/name", stdin=program)
    machine.output("cd ~; nohup python3 app.py >/dev/null 2>&1 </dev/null &")
    probe = f"python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}))'"
    poll(lambda: machine.ssh(probe).returncode == 0)


def fetch(port: int, path: str = "name") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
        return answer.read().decode()


def answers(port: int) -> bool:
    try:
        return bool(fetch(port))
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def tunnel(machine: Rented, port: int) -> Iterator[int]:
    """Forward a local port to `port` of the machine with OpenSSH's client."""
    local = free_port()
    argv = ["ssh", *machine.options(), "-N", "-L", f"{local}:localhost:{port}", "-p", str(machine.direct)]
    client = subprocess.Popen([*argv, "root@127.0.0.1"])
    try:
        poll(lambda: not socket.socket().connect_ex(("127.0.0.1", local)))
        yield local
    finally:
        client.terminate()
        client.wait()


def test_two_machines_serve_the_same_port_without_knowing_of_each_other(yard: Yard) -> None:
    one, two = yard.rent(), yard.rent()
    serve(one, 8188, "one")
    serve(two, 8188, "two")
    assert (fetch(one.host.ports["8188/tcp"]), fetch(two.host.ports["8188/tcp"])) == ("one\n", "two\n")
    with tunnel(one, 8188) as to_one, tunnel(two, 8188) as to_two:
        assert (fetch(to_one), fetch(to_two)) == ("one\n", "two\n")


def test_machines_find_each_others_published_ports_while_they_run_and_no_other(
    yard: Yard, isolation: Isolation
) -> None:
    one, two = yard.rent(isolation=isolation), yard.rent(isolation=isolation, onstart=SERVES_TWO)

    def asked(machine: Rented, port: int, what: str = "name") -> str:
        program = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{port}/{what}').read()[:9])"
        done = machine.ssh(f'python3 -c "{program}"')
        return "refused" if b"Connection refused" in done.stderr else done.stdout.decode().strip()

    public = two.host.ports["8188/tcp"]
    poll(lambda: asked(one, public) == r"b'two\n'")
    if isolation is not Isolation.NONE:
        before = one.host.traffic.down
        asked(one, public, "large")
        assert one.host.traffic.down - before > 500_000
        assert asked(two, public) == "refused", "a machine finds its own public port"
        assert asked(one, two.direct) == "refused"
    two.stop()
    assert asked(one, public) == "refused"
    two.start()
    poll(lambda: asked(one, two.host.ports["8188/tcp"]) == r"b'two\n'")


def test_the_doors_to_fifty_machines_take_no_descriptors_of_the_simulator(yard: Yard) -> None:
    machine = yard.rent()
    descriptors = Path("/proc/self/fd")
    before = len([*descriptors.iterdir()])

    async def join() -> None:
        yard.internet.join(Mock(), range(40_000, 40_100))

    yard.loop.run(join())
    poll(lambda: int(machine.output("grep -c ' 0A ' /proc/net/tcp")) == 100)
    assert len([*descriptors.iterdir()]) < before + 10


def test_a_tunnel_reaches_what_listens_on_loopback_only(machine: Rented) -> None:
    port = 18188 if machine.host.isolation is not Isolation.NONE else free_port()
    serve(machine, port, "app", address="127.0.0.1")
    with tunnel(machine, port) as local:
        assert fetch(local) == "app\n"


def test_a_published_port_does_not_reach_what_listens_on_loopback_only(yard: Yard) -> None:
    machine = yard.rent()
    serve(machine, 8188, "app", address="127.0.0.1")
    with pytest.raises(OSError):
        fetch(machine.host.ports["8188/tcp"])


def test_a_published_port_without_a_server_answers_nothing(machine: Rented) -> None:
    with socket.create_connection(("127.0.0.1", machine.host.ports["8188/tcp"])) as client:
        client.settimeout(10)
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""


def test_forwarding_to_a_closed_port_says_so(machine: Rented) -> None:
    async def run() -> None:
        async with machine.connect() as connection:
            await connection.open_connection("localhost", free_port())

    with pytest.raises(asyncssh.ChannelOpenError, match="refused"):
        asyncio.run(run())


def test_forwarding_leads_nowhere_but_into_the_machine(yard: Yard) -> None:
    machine = yard.rent()
    with socket.create_server(("127.0.0.1", 0)) as of_the_host:
        for host, port in (
            ("127.0.0.1", of_the_host.getsockname()[1]),
            ("example.com", 80),
            ("192.0.2.1", 80),
        ):
            assert machine.ssh("", "-W", f"{host}:{port}").returncode == 255


def test_large_transfers_through_a_tunnel_keep_every_byte_both_ways(machine: Rented) -> None:
    port = free_port()
    program = (
        f"import socket; server = socket.create_server(('127.0.0.1', {port})); print('up', flush=True);"
        "client, _ = server.accept();"
        "[client.sendall(data) for data in iter(lambda: client.recv(65536), b'')]; client.close()"
    )
    data = bytes(range(256)) * 20_000

    async def run() -> bytes:
        async with machine.connect() as connection:
            process = await connection.create_process(f'python3 -c "{program}"')
            await process.stdout.readline()
            reader, writer = await connection.open_connection("localhost", port)
            writer.write(data)
            writer.write_eof()
            return await reader.read()

    assert hashlib.sha256(asyncio.run(run())).digest() == hashlib.sha256(data).digest()


def test_a_hundred_connections_at_once_are_served(yard: Yard) -> None:
    machine = yard.rent()
    serve(machine, 8188, "busy")

    async def get() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", machine.host.ports["8188/tcp"])
        writer.write(b"GET /name HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer.rpartition(b"\r\n\r\n")[2]

    async def run() -> list[bytes]:
        return await asyncio.gather(*(get() for _ in range(100)))

    assert asyncio.run(run()) == [b"busy\n"] * 100


def test_uploads_count_down_and_downloads_count_up(machine: Rented) -> None:
    before = machine.host.traffic.down, machine.host.traffic.up
    machine.output("cat > ~/data", stdin=bytes(MEGABYTE))
    down, up = machine.host.traffic.down - before[0], machine.host.traffic.up - before[1]
    assert MEGABYTE < down < 1.02 * MEGABYTE
    assert 0 < up < 20_000
    before = machine.host.traffic.down, machine.host.traffic.up
    machine.output("cat ~/data", port=machine.host.proxy_port)
    down, up = machine.host.traffic.down - before[0], machine.host.traffic.up - before[1]
    assert MEGABYTE < up < 1.02 * MEGABYTE
    assert 0 < down < 20_000


def test_a_published_port_counts_exactly_its_bytes(yard: Yard) -> None:
    machine = yard.rent(onstart="cd /root; seq 500 > name; python3 -m http.server 8188")
    poll(lambda: answers(machine.host.ports["8188/tcp"]))
    before = machine.host.traffic.down
    request = b"GET /name HTTP/1.0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", machine.host.ports["8188/tcp"])) as client:
        client.sendall(request)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert machine.host.traffic.down - before == len(request)
    assert poll(lambda: machine.host.traffic.up == 2 * len(answer))


def test_downloads_that_programs_report_are_counted_once(machine: Rented, yard: Yard) -> None:
    report = "/run/traffic" if machine.host.isolation is not Isolation.NONE else "$SIMULATED_TRAFFIC"
    machine.output(f"printf 'down 5000000000\\nup 7000000000\\nnonsense\\ndown 4' >> {report}")
    down, up = machine.host.traffic.down, machine.host.traffic.up
    assert 5_000_000_000 < down < 5_000_100_000
    assert 7_000_000_000 < up < 7_000_100_000
    machine.output(f"echo 000000000 >> {report}")
    assert 9_000_000_000 < machine.host.traffic.down < 9_000_100_000
    after_a_restart = yard.make(isolation=machine.host.isolation, name=machine.root.name)
    assert after_a_restart.host.traffic.down == 0
