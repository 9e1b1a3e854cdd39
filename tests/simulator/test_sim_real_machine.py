"""The whole thing: a contract with a real machine behind it, over a restart of the simulator."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from rest_client import Client

from simulator.server import Simulator
from simulator.store import WorldInUseError


def up(api: Client, number: int) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        instance = api.instance(number)
        if instance["ports"]:
            return instance
        time.sleep(0.05)
    raise TimeoutError(instance["status_msg"])


async def remote(port: int, key: asyncssh.SSHKey, command: str) -> str:
    options: Any = {"port": port, "username": "root", "client_keys": [key], "known_hosts": None}
    async with asyncssh.connect("127.0.0.1", **options) as connection:
        done = await connection.run(command, check=True)
        return str(done.stdout)


def ssh(instance: dict[str, Any], key: asyncssh.SSHKey, command: str) -> str:
    return asyncio.run(remote(int(instance["ports"]["22/tcp"][0]["HostPort"]), key, command))


def start(folder: Path) -> Simulator:
    return Simulator(data=folder, calm=True, rate_limits=0, scale=600)


def test_a_machine_its_files_and_its_bill_survive_a_restart(tmp_path: Path):
    key = asyncssh.generate_private_key("ssh-ed25519")
    with start(tmp_path) as sim:
        api = Client(sim.url, sim.api_key)
        api.ok("POST", "/api/v0/ssh/", {"ssh_key": key.export_public_key().decode()})
        offer = api.offer(gpu_name={"eq": "RTX 4090"}, num_gpus={"eq": 1}, inet_up_cost={"gt": 0})
        number = api.rent(offer["id"], onstart="echo hello from onstart")
        instance = up(api, number)
        assert "NVIDIA GeForce RTX 4090" in ssh(instance, key, "nvidia-smi -L")
        ssh(instance, key, "echo kept > /root/note; head -c 1000000 /dev/zero")
        assert api.bill()["traffic"] > 0
        answer = api.ok("PUT", f"/api/v0/instances/command/{number}/", {"command": "ls /root"})
        api.raw("GET", answer["result_url"].removeprefix(api.url))
        assert "note" in api.raw("GET", answer["result_url"].removeprefix(api.url)).text
        with pytest.raises(WorldInUseError, match="running"):
            start(tmp_path)
    with start(tmp_path) as sim:
        api.url = sim.url
        again = up(api, number)
        assert ssh(again, key, "cat /root/note") == "kept\n"
        assert again["ssh_port"] == instance["ssh_port"], "the proxy keeps its port"
        api.ok("DELETE", f"/api/v0/instances/{number}/", {})
        assert api.bill()["billing_now"] == 0
    assert not (tmp_path / "machines" / str(number)).exists()
