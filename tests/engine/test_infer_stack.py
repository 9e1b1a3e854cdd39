"""The inference stack as a whole: images through the gateway, no change without cause, and secrets."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_runs import Cloud, MakeStack, Stack

from components.remote.shell import connect
from toolchain.bootstrap import ROOT


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answered(url: str, trust: ssl.SSLContext | bool = True) -> Any:
    """Return the JSON that is there, once anything is."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return httpx.get(url, verify=trust, timeout=30).json()
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


SMALL = {"width": 512, "height": 512, "steps": 4}
"""Of an image that is made at once."""


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Iterator[Stack]:
    """A stack that serves, and beside its project what its `up` has shown."""
    closed = {"url": "https://civitai.com/api/download/models/128078", "token": "civitai"}
    config = {f"override__models__refiner__{name}": value for name, value in closed.items()}
    stack = make_stack(f"infer{os.getpid()}", job="configs/comfyui.yaml", **config)
    stack.environment["HF_TOKEN"] = "hf_canary-token"
    refused = stack.try_("preview")
    assert refused.code != 0
    assert "models.refiner.token: there is no token civitai: give it by `pulumi config set" in refused.output
    stack.pulumi("config", "set", "--secret", "civitai:token", "civitai-canary-token")
    (stack.folder / "shown").write_text(stack.up("-v=3", "--logtostderr"))
    yield stack
    shutil.rmtree(ROOT / ".fragua/ssh" / stack.name, ignore_errors=True)


def secret(stack: Stack, name: str) -> Any:
    return json.loads(stack.pulumi("stack", "output", "--json", "--show-secrets"))[name]


def client(stack: Stack) -> httpx.Client:
    """A client that believes the machine's certificate alone."""
    outputs = stack.outputs()
    trust = ssl.create_default_context(cadata=outputs["replicas"][0]["certificate"])
    headers = {"Authorization": f"Bearer {secret(stack, 'token')}"}
    return httpx.Client(base_url=outputs["gateway"], verify=trust, headers=headers, timeout=60)


def test_the_gateway_makes_an_image_under_its_own_certificate(stack: Stack, cloud: Cloud) -> None:
    assert cloud.billing(f"{stack.name}/") == [stack.outputs()["instance"]]
    with client(stack) as asking:
        reply = asking.post("/generate", json={"prompt": "a lighthouse", "seed": 5, **SMALL})

    assert reply.status_code == 200, reply.text
    assert reply.headers["X-Seed"] == "5"
    assert float(reply.headers["X-Cost"]) > 0
    assert reply.content.startswith(b"\x89PNG")


def test_the_curl_line_of_the_outputs_works_as_it_stands(stack: Stack, tmp_path: Path) -> None:
    line = stack.outputs()["curl"].replace("./fragua pulumi", "pulumi")
    environment = {**stack.environment, "PWD": str(stack.folder)}
    subprocess.run(["bash", "-c", line], cwd=stack.folder, env=environment, check=True, timeout=100)

    assert (stack.folder / "image.png").read_bytes().startswith(b"\x89PNG")


def test_nobody_is_served_without_a_token(stack: Stack) -> None:
    with client(stack) as asking:
        reply = asking.get("/workflows", headers={"Authorization": "Bearer wrong"})

    assert reply.status_code == 401


def test_only_ssh_and_the_gateway_are_reached_from_outside(stack: Stack, cloud: Cloud) -> None:
    [instance] = [
        each
        for each in cloud.api("GET", "/api/v1/instances/")["instances"]
        if each["id"] == stack.outputs()["instance"]
    ]
    assert set(instance["ports"]) == {"22/tcp", "8000/tcp"}
    with connect(stack.login()) as shell:
        listening = shell.run("looking", "cat /proc/net/tcp").split("\n")
    open_ports = {int(row.split()[1][9:], 16) for row in listening[1:] if row and row.split()[3] == "0A"}
    loopback = {
        int(row.split()[1][9:], 16)
        for row in listening[1:]
        if row and row.split()[3] == "0A" and row.split()[1].startswith("0100007F")
    }
    assert 18188 in loopback
    assert open_ports - loopback == {8000}


def test_a_second_up_changes_nothing(stack: Stack, cloud: Cloud) -> None:
    cloud.ask("POST", "price", multiply=0.5)
    stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    cloud.ask("POST", "price", multiply=2)


def test_a_service_that_does_not_run_is_started_by_up_with_refresh(stack: Stack) -> None:
    with connect(stack.login()) as shell:
        shell.run("killing", 'kill -KILL -- -"$(cat /workspace/.fragua/jobs/comfyui/group)"')
    stack.up("--refresh")

    with client(stack) as asking:
        assert asking.post("/generate", json={"prompt": "again", **SMALL}).status_code == 200


def test_both_start_again_when_the_container_does(stack: Stack, cloud: Cloud) -> None:
    instance = stack.outputs()["instance"]
    cloud.api("PUT", f"/api/v0/instances/reboot/{instance}/")
    headers = {"Authorization": f"Bearer {secret(stack, 'token')}"}
    trust = ssl.create_default_context(cadata=stack.outputs()["replicas"][0]["certificate"])

    def served() -> bool:
        listed = cloud.api("GET", "/api/v1/instances/")["instances"]
        [ports] = [each["ports"] for each in listed if each["id"] == instance]
        if not ports:
            return False
        url = f"https://127.0.0.1:{ports['8000/tcp'][0]['HostPort']}/generate"
        body = {"prompt": "after a reboot", **SMALL}
        with suppress(httpx.TransportError):
            return httpx.post(url, json=body, headers=headers, verify=trust, timeout=60).status_code == 200
        return False

    deadline = time.monotonic() + 90
    while not served():
        assert time.monotonic() < deadline
        time.sleep(0.5)
    stack.up("--refresh")  # takes over the new address


def test_a_new_token_takes_the_place_of_the_old_one(stack: Stack) -> None:
    old = secret(stack, "token")
    stack.configure(**{"override__gateway__tokens[0]": "artist"})
    stack.up()
    with client(stack) as asking:
        assert asking.get("/whoami").json()["token"] == "artist"
        assert asking.get("/whoami", headers={"Authorization": f"Bearer {old}"}).status_code == 401
    stack.configure(override__gateway__tokens=None)


def test_a_changed_limit_restarts_the_gateway_and_rents_nothing(stack: Stack, cloud: Cloud) -> None:
    before = stack.outputs()
    stack.configure(override__gateway__limits__max_steps=3)
    stack.up()

    assert stack.outputs()["instance"] == before["instance"]
    with client(stack) as asking:
        reply = asking.post("/generate", json={"prompt": "a lighthouse", **SMALL})
    assert reply.status_code == 422
    assert reply.json()["error"]["field"] == "steps"
    stack.configure(override__gateway__limits__max_steps=None)
    stack.up()


def test_secrets_are_nowhere_in_plain_text(stack: Stack) -> None:
    """Pulumi's SDK alone writes what is exported, the token too, to the debug log that -v asks for."""
    token = secret(stack, "token")
    state = "".join(path.read_text() for path in (stack.folder.parent / "state").rglob("*.json"))
    with connect(stack.login()) as shell:
        found = shell.run("looking", f"grep -rlF -e '{token}' /workspace /root /etc 2>/dev/null || true")
        arguments = shell.run("looking", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        kept = shell.run("looking", "cd /workspace/.fragua/secrets; stat -c '%a %U %n' . *.token")

    assert found == ""
    assert kept.splitlines() == ["700 root .", "600 root civitai.token", "600 root huggingface.token"]
    canaries = ("hf_canary-token", "civitai-canary-token")
    assert not [word for word in canaries if word in (stack.folder / "shown").read_text()]
    for word in (*canaries, token):
        assert word not in state
        assert word not in arguments
        assert word not in stack.up()


def test_a_tunnel_leads_to_comfyui_itself_and_to_the_gateway(stack: Stack) -> None:
    ports = free_port(), free_port()
    options = ("--comfyui-port", str(ports[0]), "--gateway-port", str(ports[1]))
    command = [str(ROOT / "fragua"), "tunnel", stack.name, *options]
    tunnel = subprocess.Popen(command, cwd=ROOT, env=stack.environment, start_new_session=True)
    trust = ssl.create_default_context(cadata=stack.outputs()["replicas"][0]["certificate"])
    try:
        stats = answered(f"http://127.0.0.1:{ports[0]}/system_stats")
        health = answered(f"https://127.0.0.1:{ports[1]}/health", trust)
    finally:
        os.killpg(tunnel.pid, signal.SIGINT)
        tunnel.wait(30)

    assert stats["devices"]
    assert health["status"] == "ok"


def test_fragua_generate_saves_an_image_by_what_it_is_told(stack: Stack, tmp_path: Path) -> None:
    words = ["--set", "width=512", "--set", "height=512", "--set", "steps=2", "--set", "seed=3"]
    command = [str(ROOT / "fragua"), "generate", stack.name, "a fox", "-o", str(tmp_path / "a.png"), *words]
    done = subprocess.run(
        command, cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=100, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "512x512, seed 3" in done.stdout
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    refused = subprocess.run(
        [*command, "--set", "width=500"],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert refused.returncode == 1
    assert "width" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr


def test_destroy_leaves_nothing_that_bills(stack: Stack, cloud: Cloud) -> None:
    stack.destroy()

    assert cloud.billing(f"{stack.name}/") == []


def test_replicas_come_and_go_without_touching_the_first(make_stack: MakeStack, cloud: Cloud) -> None:
    """One of them balances over both where HAProxy is to be had."""
    front = {"override__gateway__front": 1} if shutil.which("haproxy") else {}
    pair = make_stack(f"pair{os.getpid()}", job="configs/comfyui.yaml", override__replicas=2, **front)
    pair.up()
    first, second = pair.outputs()["replicas"]

    assert sorted(cloud.billing(f"{pair.name}/")) == sorted([first["instance"], second["instance"]])
    headers = {"Authorization": f"Bearer {secret(pair, 'token')}"}
    for number, replica in enumerate((first, second), 1):
        trust = ssl.create_default_context(cadata=replica["certificate"])
        body = {"prompt": "a lighthouse", **SMALL}
        job = httpx.post(
            f"{replica['url']}/jobs", json=body, headers=headers, verify=trust, timeout=60
        ).json()
        assert job["id"].startswith(f"n{number}-")
    if front:
        balanced_over_both(pair, cloud, second["instance"])
    pair.configure(override__replicas=1)
    pair.up()

    assert cloud.billing(f"{pair.name}/") == [first["instance"]]
    assert pair.outputs()["replicas"] == [first]
    if front:
        with asking_the_front(pair) as asking:
            assert asking.post("/generate", json={"prompt": "alone", **SMALL}).headers["X-Job"][:3] == "n1-"
    pair.destroy()
    assert cloud.billing(f"{pair.name}/") == []


def asking_the_front(stack: Stack) -> httpx.Client:
    """A client that believes the certificate which the outputs show for the balancer."""
    outputs = stack.outputs()
    trust = ssl.create_default_context(cadata=outputs["frontCertificate"])
    headers = {"Authorization": f"Bearer {secret(stack, 'token')}"}
    return httpx.Client(base_url=outputs["front"], verify=trust, headers=headers, timeout=100)


def balanced_over_both(pair: Stack, cloud: Cloud, second: int) -> None:
    """Ask by the balancer for images, and lose the second machine meanwhile."""
    pair.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    outputs = pair.outputs()
    assert outputs["front"] in outputs["curl"]
    body = {"prompt": "a fox", "width": 512, "height": 512, "steps": 60}
    with asking_the_front(pair) as asking, ThreadPoolExecutor(6) as pool:

        def ask(number: int) -> httpx.Response:
            key = {"Idempotency-Key": f"key-{number}"}
            return asking.post("/generate", json={**body, "seed": number}, headers=key)

        assert asking.get("/workflows", headers={"Authorization": "Bearer wrong"}).status_code == 401
        replies = [pool.submit(ask, number) for number in range(6)]
        trust = ssl.create_default_context(cadata=outputs["replicas"][1]["certificate"])
        while not httpx.get(f"{outputs['replicas'][1]['url']}/ready", verify=trust).json()["running"]:
            assert not all(reply.done() for reply in replies)
        cloud.ask("POST", f"instances/{second}/offline")
        found = [reply.result() for reply in replies]

    assert [reply.status_code for reply in found] == [200] * 6
    assert "n1-" in {reply.headers["X-Job"][:3] for reply in found}
