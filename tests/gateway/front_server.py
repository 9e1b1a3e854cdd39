"""The real HAProxy in front of gateways, for tests."""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from gateway_node import Node
from gateway_server import SMALL, free_port, until

from components.comfyui.front import Replica, haproxy


@dataclass
class Front:
    client: httpx.Client
    nodes: list[Node]
    folder: Path

    def post(self, key: str = "", path: str = "/generate", **body: object) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(path, json={"prompt": "a fox", **SMALL, **body}, headers=headers)


def told(folder: Path, command: str) -> str:
    """What the HAProxy of that folder answers a command."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(folder / "stats.sock"))
        asking.sendall(f"{command}\n".encode())
        return b"".join(iter(lambda: asking.recv(65536), b"")).decode()


def load(folder: Path, *names: str) -> list[int]:
    """How many jobs HAProxy takes the replicas to have."""
    answers = [told(folder, f"get var proc.{name}") for name in names]
    return [int(answer.rpartition("<")[2].rpartition(">")[0]) for answer in answers]


def up(folder: Path) -> set[str]:
    """The replicas that the HAProxy of that folder counts on."""
    rows = told(folder, "show stat -1 4 -1").splitlines()
    fields = [row.split(",") for row in rows if row.startswith("n")]
    # "UP 1/2" is about to be down
    return {row[1] for row in fields if row[0] == row[1] and row[17] == "UP" and "L7OK" in row}


@contextmanager
def balanced(folder: Path, replicas: list[Replica], share: float = 1) -> Iterator[str]:
    """Run HAProxy in front of the replicas, with that share of the connections that it may have."""
    port = free_port()
    (folder / "certificates").mkdir()
    for each in replicas:
        (folder / each.file).write_text(each.certificate)
    config = haproxy(replicas, f"127.0.0.1:{port}")
    config = re.sub(r"maxconn (\d+)", lambda most: f"maxconn {int(int(most[1]) * share)}", config)
    (folder / "haproxy.cfg").write_text(config)
    process = subprocess.Popen(["haproxy", "-db", "-q", "-f", "haproxy.cfg"], cwd=folder)
    try:
        until((folder / "stats.sock").exists)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
