"""What the front leaves for HAProxy and Caddy, held to the programs themselves."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.front import configuration
from cli.project import known
from cli.ssh import arguments_of
from components.comfyui import balancer
from components.comfyui.front import Replica, caddyfile, haproxy
from components.comfyui.provider import FrontProvider
from components.errors import FraguaError
from gateway.certificate import certificate

HOSTS = ("203.0.113.7", "2001:db8::7", "192.0.2.9")


def outputs(folder: Path, count: int) -> dict:
    """Of a stack with so many replicas."""
    pem = certificate(folder / "tls", "203.0.113.7")
    hosts = [f"[{host}]" if ":" in host else host for host in HOSTS[:count]]
    return {
        "replicas": [{"url": f"https://{host}:41{at}", "certificate": pem} for at, host in enumerate(hosts)]
    }


@pytest.mark.skipif(not shutil.which("haproxy"), reason="no haproxy: apt-get install haproxy")
@pytest.mark.parametrize(
    ("count", "listen", "domain"), [(1, "127.0.0.1", ""), (3, "::1", ""), (3, "127.0.0.1", "a.example.org")]
)
def test_haproxy_accepts_the_files_without_a_warning(
    tmp_path: Path, count: int, listen: str, domain: str
) -> None:
    for name, text in configuration(outputs(tmp_path, count), listen, 8080, domain).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    ended = subprocess.run(
        ["haproxy", "-c", "-f", "haproxy.cfg"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert "WARNING" not in ended.stderr


@pytest.mark.skipif(not shutil.which("haproxy"), reason="no haproxy: apt-get install haproxy")
def test_haproxy_accepts_what_is_left_on_a_machine_without_a_warning(tmp_path: Path) -> None:
    pem = certificate(tmp_path / ".fragua/gateway/tls", HOSTS[0])
    replicas = [Replica("n1", "127.0.0.1", 8000, pem), Replica("n2", HOSTS[1], 41000, pem)]
    certificates = {each.file: pem for each in replicas}
    config = haproxy(replicas, balancer.BIND)
    script = balancer.files_script(config, "a-version", certificates)
    ended = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert "WARNING" not in ended.stderr
    folder = tmp_path / balancer.FOLDER
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "certificate.pem.key").resolve() == tmp_path / ".fragua/gateway/tls/key.pem"
    assert "PRIVATE" not in script
    assert [*tmp_path.rglob("*.new")] == []


def test_the_version_is_of_all_that_haproxy_reads() -> None:
    pairs = [("a", "b", {}), ("a", "c", {}), ("ab", "", {}), ("a", "b", {"n1": "x"}), ("a", "b", {"n1": "y"})]

    assert len({balancer.version(*each) for each in pairs}) == len(pairs)
    assert balancer.version("a", "b", {"1": "x", "2": "y"}) == balancer.version(
        "a", "b", {"2": "y", "1": "x"}
    )


@pytest.mark.parametrize(
    ("change", "changes", "replaces"),
    [
        ({}, False, []),
        ({"limit": 9.0}, False, []),
        ({"machine": 2.0}, True, ["machine"]),
        ({"config": "another"}, True, []),
        ({"certificates": {}}, True, []),
        ({"certificate": "another"}, True, []),
    ],
)
def test_a_balancer_is_changed_in_place_but_for_another_machine(
    change: dict, changes: bool, replaces: list
) -> None:
    names = ("login", "address", "port", "bind", "config", "certificates", "certificate")
    inputs = {**dict.fromkeys(names, "as it was"), "machine": 1.0, "limit": 1.0}
    found = FrontProvider().diff("", {**inputs, "serving": True, "url": "https://a:1"}, inputs | change)

    assert (found.changes, found.replaces) == (changes, replaces)
    assert FrontProvider().diff("", {**inputs, "serving": False}, inputs).changes


@pytest.mark.skipif(not shutil.which("caddy"), reason="no caddy: apt-get install caddy")
def test_caddy_accepts_its_file(tmp_path: Path) -> None:
    (tmp_path / "Caddyfile").write_text(caddyfile("images.example.org", 8080))
    command = ["caddy", "validate", "--config", "Caddyfile", "--adapter", "caddyfile"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert '"level":"warn"' not in ended.stderr


def test_the_longest_text_request_fits_in_the_buffer() -> None:
    text = haproxy([Replica("n1", HOSTS[0], 1, "")], "127.0.0.1:8080")
    size = int(text.partition("tune.bufsize ")[2].split()[0])
    prompt = "\N{FOX FACE}" * 10_000  # the longest that the gateway takes, in JSON's longest spelling
    body = json.dumps({"prompt": prompt, "negative_prompt": prompt, "width": 1024})

    assert len(body) + 16_384 < size


def test_only_behind_caddy_a_forwarded_address_is_believed() -> None:
    replicas = [Replica("n1", HOSTS[0], 1, "")]

    assert "set-header X-Forwarded-For %[src]" in haproxy(replicas, "127.0.0.1:8080")
    assert "X-Forwarded-For" not in haproxy(replicas, "127.0.0.1:8080", behind_caddy=True)


def test_gateways_behind_tunnels_cannot_be_put_behind_a_front() -> None:
    with pytest.raises(FraguaError, match="expose"):
        configuration({"replicas": [{"url": "", "certificate": ""}]}, "127.0.0.1", 8080, "")


def test_each_machine_of_a_stack_is_reached_by_its_own_login(tmp_path: Path) -> None:
    kind = "pulumi-python:dynamic/vast:"
    machines = [
        {
            "type": f"{kind}Instance",
            "urn": f"urn:pulumi:s::fragua::{kind}Instance::{name}",
            "outputs": {"host": host, "port": 22.0, "host_key": "ssh-ed25519 AAAA", "status": "running"},
            **more,
        }
        for name, host, more in (
            ("node-2", HOSTS[2], {}),
            ("node", HOSTS[0], {}),
            ("node", HOSTS[1], {"delete": True}),
        )
    ]
    key = {"type": f"{kind}SshKey", "outputs": {"private_key": {"plaintext": json.dumps("PRIVATE")}}}
    deployment = SimpleNamespace(deployment={"resources": [key, *machines]})
    stack = SimpleNamespace(name="s", export_stack=lambda: deployment, outputs=dict)

    found = known(stack)
    assert (found["login"]["host"], found["status"]) == (HOSTS[0], "running")
    assert "-oHostName=192.0.2.9" in arguments_of(tmp_path, "s", found, 2)
    with pytest.raises(FraguaError, match="none with number 3"):
        arguments_of(tmp_path, "s", found, 3)
