"""Vast's own command line client, a process of its own, against the simulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simulator.server import Simulator

VASTAI = Path(sys.executable).with_name("vastai")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5mCqNPtUuMDAz3zqVzVNJsbxVvH1NfpyVxHJxSuQmX me@here"


class Vastai:
    """The installed `vastai`, with a home of its own and no key file."""

    def __init__(self, sim: Simulator, home: Path) -> None:
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "VAST_URL": sim.url,
            "VAST_API_KEY": sim.api_key, "VASTAI_NO_UPDATE_CHECK": "1", "COLUMNS": "200",
        }  # fmt: skip

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(VASTAI), *words], env=self.env, capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def text(self, *words: str) -> str:
        return self.run(*words).stdout

    def raw(self, *words: str) -> Any:
        return json.loads(self.text(*words, "--raw"))


@pytest.fixture
def vastai(sim: Simulator, tmp_path: Path) -> Vastai:
    return Vastai(sim, tmp_path)


def test_the_official_client_does_the_whole_round(vastai: Vastai, api: Any):
    query = "gpu_name=RTX_4090 num_gpus=1 reliability>0.5"
    offers = vastai.raw("search", "offers", query, "-o", "dph+")
    assert offers
    assert {offer["gpu_name"] for offer in offers} == {"RTX 4090"}
    assert offers == sorted(offers, key=lambda offer: offer["dph_total"])
    table = vastai.text("search", "offers", "gpu_ram>=40", "--limit", "3")
    assert len(table.strip().splitlines()) == 4
    newer = vastai.raw("search", "offers", "num_gpus=1 dph<0.5 geolocation in [DE,SE,US]", "--new")
    assert newer
    bids = vastai.raw("search", "offers", "num_gpus=1 direct_port_count>=1", "--interruptible", "-o", "dph")
    assert all(offer["is_bid"] for offer in bids)

    vastai.text("create", "ssh-key", KEY, "-y")
    (key,) = vastai.raw("show", "ssh-keys")
    assert key["key"] == KEY

    offer, price = bids[0], str(bids[0]["min_bid"] + 0.02)
    made = vastai.raw(
        "create", "instance", str(offer["id"]), "--image", "vastai/pytorch:2.7.1", "--disk", "32", "--ssh",
        "--direct", "--bid_price", price, "--env", "-e A=b -p 8188:8188", "--label", "cli",
    )  # fmt: skip
    number = str(made["new_contract"])
    api.advance(900)
    shown = vastai.raw("show", "instance", number)
    assert shown["actual_status"] == "running"
    assert shown["extra_env"] == {"A": "b", "-p 8188:8188": "1"}
    assert "cli" in vastai.text("show", "instances")
    assert vastai.text("show", "instances", "-q").split() == [number]
    (listed,) = vastai.raw("show", "instances")
    assert listed["public_ipaddr"] == "127.0.0.1"
    port = listed["ports"]["22/tcp"][0]["HostPort"]
    assert vastai.text("ssh-url", number).strip() == f"ssh://root@127.0.0.1:{port}"
    assert number in vastai.text("show", "instance", number)

    vastai.text("change", "bid", number, "--price", "0.9")
    assert vastai.raw("show", "instance", number)["dph_base"] == 0.9
    vastai.text("label", "instance", number, "renamed")
    assert vastai.raw("show", "instance", number)["label"] == "renamed"
    assert vastai.text("logs", number).endswith("booted\nready\n\n")
    vastai.text("stop", "instance", number)
    api.advance(10)
    assert vastai.raw("show", "instance", number)["actual_status"] in ("stopped", "exited")
    vastai.text("start", "instance", number)
    api.advance(30)
    assert vastai.raw("show", "instance", number)["actual_status"] == "running"
    vastai.text("attach", "ssh", number, KEY)

    templates = json.loads(vastai.text("search", "templates", "image=vastai/comfy"))
    assert [template["name"] for template in templates] == ["ComfyUI"]
    user = vastai.raw("show", "user")
    assert 99 < user["credit"] < 100
    assert "api_key" not in user

    assert "destroying instance" in vastai.text("destroy", "instance", number, "-y")
    assert vastai.run("show", "instance", number, check=False).returncode == 1
    vastai.text("delete", "ssh-key", str(key["id"]))
    assert vastai.raw("show", "ssh-keys") == []
    assert api.bill()["billing_now"] == 0


def test_the_official_client_shows_refusals_and_waits_out_a_limit(vastai: Vastai, api: Any):
    offer = api.offer()
    api.rent(offer["id"])
    refused = vastai.run("create", "instance", str(offer["id"]), "--image", "ubuntu", check=False)
    assert "404" in refused.stderr
    assert "no_such_ask" in refused.stderr
    api.ok("POST", "/_sim/fault", {"effect": "respond", "status": 429, "body": "API requests too frequent"})
    assert vastai.raw("show", "user")["credit"] > 0
    vastai.env["VAST_API_KEY"] = "nope"
    assert "Invalid user key" in vastai.run("show", "user", check=False).stderr
