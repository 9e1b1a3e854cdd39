"""The balancer on a rented machine: over its own gateway and another machine's, changed while it serves."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from rented_machine import Rented, Yard, poll

from components.comfyui import balancer, fronting
from components.comfyui.front import Replica, haproxy
from components.errors import CommandFailed
from gateway.certificate import certificate

pytestmark = pytest.mark.skipif(not shutil.which("haproxy"), reason="no haproxy: apt-get install haproxy")

GATEWAY = """
import json, os, ssl, sys, time
from http.server import *

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"running": 0, "waiting": 0})

    def do_POST(self):
        with open("asked", "a") as asked:
            asked.write(".")
        held = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["held"]
        while held and not os.path.exists("go"):
            time.sleep(0.02)
        self.answer({"by": sys.argv[1]})

    def answer(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = ThreadingHTTPServer(("0.0.0.0", 8000), Handler)
trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
trust.load_cert_chain("certificate.pem", "key.pem")
server.socket = trust.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
"""Stands for the gateway: it says that it is ready, and its name; what is held, once a file `go` is there."""


def serve(machine: Rented, folder: Path, name: str) -> str:
    """Run a gateway, where fragua has it, and return its certificate."""
    pem = certificate(folder, "127.0.0.1")
    machine.output(
        "mkdir -p /workspace/.fragua/gateway/venv/bin /workspace/.fragua/gateway/tls;"
        "ln -sf /usr/local/bin/python3 /workspace/.fragua/gateway/venv/bin/python"
    )
    for file, text in (
        ("certificate.pem", pem),
        ("key.pem", (folder / "key.pem").read_text()),
        ("gateway.py", GATEWAY),
    ):
        machine.output(f"cat > /workspace/.fragua/gateway/tls/{file}", stdin=text.encode())
    start(machine, name)
    return pem


def start(machine: Rented, name: str) -> None:
    machine.output(
        f"cd /workspace/.fragua/gateway/tls; nohup python3 gateway.py {name} > log 2>&1 < /dev/null &"
    )


class Pair:
    """Two machines with a gateway each, and what the balancer on the first is to be."""

    def __init__(self, yard: Yard) -> None:
        opened = {"-p 8000:8000": "1", "-p 8001:8001": "1"}
        self.machines = [yard.rent(env=opened) for _ in range(2)]
        self.certificates = [
            serve(machine, yard.root / f"tls{at}", f"n{at}") for at, machine in enumerate(self.machines, 1)
        ]
        trust = ssl.create_default_context(cadata=self.certificates[0])
        self.client = httpx.Client(verify=trust, timeout=30)

    @property
    def props(self) -> dict[str, Any]:
        """Of a `Front` over both."""
        return self.over(
            Replica("n1", "127.0.0.1", 8000, self.certificates[0]),
            Replica("n2", "127.0.0.1", self.machines[1].host.ports["8000/tcp"], self.certificates[1]),
        )

    @property
    def first_alone(self) -> dict[str, Any]:
        """Of a `Front` over the gateway beside it."""
        return self.over(Replica("n1", "127.0.0.1", 8000, self.certificates[0]))

    def over(self, *replicas: Replica) -> dict[str, Any]:
        machine = self.machines[0]
        return {
            "login": {
                "host": "127.0.0.1",
                "port": float(machine.direct),
                "private_key": machine.key.read_text(),
                "host_key": machine.host_key.strip(),
            },
            "address": "127.0.0.1",
            "port": float(machine.host.ports["8001/tcp"]),
            "config": haproxy(replicas, balancer.BIND),
            "certificates": {each.file: each.certificate for each in replicas},
            "certificate": self.certificates[0],
            "limit": 100.0,
        }

    def ask(self, url: str, key: str = "", *, held: bool = False) -> str:
        headers = {"Idempotency-Key": key} if key else {}
        reply = self.client.post(f"{url}/generate", json={"held": held}, headers=headers)
        assert reply.status_code == 200, reply.text
        return reply.json()["by"]

    def asked(self, number: int) -> int:
        """How many requests have come to the gateway of that number."""
        return len(self.machines[number - 1].output("cat /workspace/.fragua/gateway/tls/asked || true"))

    def release(self, *numbers: int) -> None:
        """Let the gateways of those numbers answer what they hold."""
        for number in numbers:
            self.machines[number - 1].output("touch /workspace/.fragua/gateway/tls/go")

    def of_balancer(self, fact: str) -> str:
        """What HAProxy tells of itself."""
        program = (
            "import socket; way = socket.socket(socket.AF_UNIX); way.connect('stats.sock');"
            "way.sendall(b'show info\\n');"
            f"print(dict(line.partition(': ')[::2] for line in way.makefile())['{fact}'])"
        )
        return self.machines[0].output(f'cd /workspace/.fragua/front; python3 -c "{program}"').strip()


@pytest.fixture
def pair(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(fronting, "POLL", 0.1)
    pair = Pair(yard)
    yield pair
    pair.client.close()


def test_it_reaches_the_other_machine_and_a_request_with_a_key_outlives_that(pair: Pair) -> None:
    impatient = pair.props["config"].replace("timeout client 1m", "timeout client 1s")
    url = fronting.begin({**pair.props, "config": impatient})["url"]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(pair.ask, url, f"key-{at}", held=True) for at in range(8)]
        poll(lambda: pair.asked(1) + pair.asked(2) == 8)
        assert pair.asked(2)
        with socket.create_connection(("127.0.0.1", int(pair.props["port"])), timeout=9) as silent:
            assert silent.recv(1) == b"", "who never begins with TLS keeps a place of others"
        pair.machines[1].stop()
        poll(lambda: pair.asked(1) == 8)
        pair.release(1)
        found = [each.result() for each in asked]

    assert found == ["n1"] * 8
    with pytest.raises(httpx.TransportError):
        httpx.get(url.replace("https", "http"))
    # nothing but the gateways answers: HAProxy's own pages are not there
    assert pair.client.get(f"{url}/haproxy?stats").json() == {"running": 0, "waiting": 0}


def test_a_change_drops_nothing_and_forgets_no_key(pair: Pair) -> None:
    url = fronting.begin(pair.props)["url"]
    pid = pair.of_balancer("Pid")
    fronting.begin(pair.props)
    assert pair.of_balancer("Pid") == pid, "what was as it should be was started again"

    # HAProxy teaches a new process only what one that is five seconds old has learnt
    poll(lambda: int(pair.of_balancer("Uptime_sec")) > 5)
    owners = {key: pair.ask(url, key) for key in map(str, range(6))}
    before = pair.asked(1), pair.asked(2)
    with ThreadPoolExecutor(8) as pool:
        under_way = [pool.submit(pair.ask, url, held=True) for _ in range(8)]
        poll(lambda: pair.asked(1) + pair.asked(2) == sum(before) + 8)
        by = ["n1"] * (pair.asked(1) - before[0]) + ["n2"] * (pair.asked(2) - before[1])
        fronting.begin({**pair.props, "config": pair.props["config"] + "\n# another\n"})
        assert pair.of_balancer("Pid") != pid
        assert {key: pair.ask(url, key) for key in owners} == owners
        fronting.begin(pair.first_alone)
        assert {pair.ask(url) for _ in range(4)} == {"n1"}
        assert not any(each.done() for each in under_way)
        pair.release(1, 2)
        assert sorted(each.result() for each in under_way) == by

    assert {*owners.values()} == {*by} == {"n1", "n2"}


def test_a_replica_that_is_removed_takes_no_request_with_a_key_along(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    both = pair.props
    url = fronting.begin(both)["url"]
    with ThreadPoolExecutor(8) as pool:
        under_way = [pool.submit(pair.ask, url, f"key-{at}", held=True) for at in range(8)]
        poll(lambda: pair.asked(1) + pair.asked(2) == 8)
        assert pair.asked(2)
        fronting.begin(pair.first_alone)
        pair.machines[1].stop()
        poll(lambda: pair.asked(1) == 8)
        pair.release(1)
        assert [each.result() for each in under_way] == ["n1"] * 8

    fronting.begin(both)
    assert "does not reach n2 (L4CON)" in capsys.readouterr().out


def test_it_is_found_wanting_mended_started_after_a_reboot_and_ended(pair: Pair) -> None:
    props = pair.first_alone
    url = fronting.begin(props)["url"]
    with pytest.raises(CommandFailed, match=r"(?s)nonsense.*HAProxy refuses its configuration"):
        fronting.begin({**props, "config": props["config"] + "\nnonsense\n", "certificates": {}})
    pair.machines[0].output("kill -KILL $(cat /workspace/.fragua/front.pid)")
    poll(
        lambda: pair.machines[0].output(
            "grep 'ended with exit code 137' /workspace/.fragua/jobs/front/log || true"
        )
    )
    poll(lambda: fronting.look(props))
    assert pair.ask(url) == "n1"
    pair.machines[0].output('kill -KILL -- -"$(cat /workspace/.fragua/jobs/front/group)"')
    assert fronting.look(props) is False
    fronting.begin(props)
    assert (fronting.look(props), pair.ask(url)) == (True, "n1")

    pair.machines[0].stop()
    assert fronting.look(props) is True, "a machine that cannot be reached says nothing against it"
    pair.machines[0].start()
    start(pair.machines[0], "n1")
    pair.machines[0].output(balancer.BOOT_SCRIPT)
    props = pair.first_alone
    poll(lambda: fronting.look(props), 20)
    url = fronting.begin(props)["url"]
    assert pair.ask(url) == "n1"

    fronting.end(props)
    with pytest.raises(httpx.TransportError):
        pair.ask(url)
    assert pair.machines[0].ssh("ls /workspace/.fragua/front").returncode == 2
