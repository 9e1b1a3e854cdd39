"""What survives a restart of the simulator, also when it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from paper_machine import PaperMachine
from rest_client import Client

from simulator.server import Simulator

STILL = 1e-6


def start(folder: Path, seed: int = 7) -> Simulator:
    return Simulator(scale=STILL, calm=True, rate_limits=0, make_host=PaperMachine, data=folder, seed=seed)


def test_a_world_comes_back_as_it_was_and_no_time_has_passed(tmp_path: Path):
    with start(tmp_path) as sim:
        api = Client(sim.url, sim.api_key)
        api.ok("POST", "/api/v0/ssh/", {"ssh_key": "ssh-ed25519 AAAA me"})
        other = api.ok("POST", "/api/v0/auth/apikeys/", {"name": "other"})["key"]
        up = api.running()
        down = api.rent(api.offer(rented={"eq": True})["id"], label="down")
        api.ok("PUT", f"/api/v0/instances/{down}/", {"state": "stopped"})
        gone = api.rent(api.offer(rented={"eq": True})["id"])
        api.ok("DELETE", f"/api/v0/instances/{gone}/", {})
        api.ok("POST", f"/_sim/offers/{api.offer()['id']}/take", {})
        api.advance(1234)
        before, offers = api.bill(), {offer["id"] for offer in api.search(limit=1000)}
    with start(tmp_path, seed=99) as sim:
        assert sim.api_key == api.headers["Authorization"].removeprefix("Bearer ")
        api.url = sim.url
        assert Client(sim.url, other).ok("GET", "/api/v0/users/current/")["credit"] > 0
        after = api.bill()
        assert after["now"] == pytest.approx(before["now"], abs=1)
        assert after["spent_nano"] == pytest.approx(before["spent_nano"], abs=10**6)
        assert {offer["id"] for offer in api.search(limit=1000)} == offers
        assert api.instance(down)["label"] == "down"
        assert api.instance(up["id"])["actual_status"] == "loading"
        assert api.ok("GET", "/api/v0/ssh/")[0]["key"] == "ssh-ed25519 AAAA me"
        api.advance(30)
        again = api.instance(up["id"])
        assert again["actual_status"] == "running"
        assert again["ports"] != up["ports"]
        assert api.instance(down)["cur_state"] == "stopped"
        machine = sim.world.hosts.get(up["id"])
        assert machine.root == tmp_path / "machines" / str(up["id"])
        assert [row["status"] for row in api.bill()["contracts"]][2] == "destroyed"
        fresh = api.rent(api.offer(rented={"eq": True})["id"])
        assert fresh > gone, "ids are never used again"


def test_booting_again_after_a_restart_costs_disk_only(tmp_path: Path):
    with start(tmp_path) as sim:
        api = Client(sim.url, sim.api_key)
        api.running()
        before = api.bill()["contracts"][0]
    with start(tmp_path) as sim:
        api.url = sim.url
        api.advance(3600)
        after = api.bill()["contracts"][0]
        booting = after["seconds"]["loading"] - before["seconds"]["loading"]
        assert 0 < booting < 10
        running = after["seconds"]["running"] - before["seconds"]["running"]
        assert running + booting == pytest.approx(3600, abs=1)
        gpu = [row for row in after["segments"] if row["kind"] == "gpu"]
        assert [row["open"] for row in gpu] == [0, 1]


def test_a_killed_simulator_loses_at_most_a_second(tmp_path: Path):
    def launch() -> tuple[subprocess.Popen[str], Client]:
        options = ["--data", str(tmp_path), "--scale", "1", "--calm", "--rate-limits", "0"]
        process = subprocess.Popen(
            [sys.executable, "-m", "simulator", *options], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        settings = dict(process.stdout.readline().strip().split("=", 1) for _ in range(2))
        return process, Client(settings["VAST_URL"], settings["VAST_API_KEY"])

    process, api = launch()
    number = api.rent(api.offer()["id"], target_state="stopped")
    time.sleep(1.2)
    before = api.bill()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(requests.ConnectionError):
        api.bill()
    process, api = launch()
    after = api.bill()
    assert [contract["id"] for contract in after["contracts"]] == [number]
    assert before["now"] - 1.3 < after["now"] < before["now"] + 10
    assert after["spent_nano"] >= before["spent_nano"] - 10**6
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
