"""ComfyUI on a simulated machine: installed from its repository, brought by Vast's image, with a gateway beside it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from comfy_server import free_port
from image_machine import IMAGE, Machine

COMMIT = "a125cd84b054a57729b5eecab930ca9408719832"
NODES = "https://github.com/lumenworks/ComfyUI-FilmGrain"
LOCK = Path(__file__).parents[2] / "gateway/requirements.lock"


def done(machine: Machine, *command: str | Path, **options: Any) -> str:
    ran = machine.run(*command, **options)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture
def checkout(machine: Machine) -> Machine:
    """A machine with an environment, torch in it, and the checkout; nothing of its requirements."""
    done(machine, "uv", "venv", "-q", "venv")
    torch = ("torch==2.8.0", "torchvision==0.23.0", "--index-url", "https://download.pytorch.org/whl/cu128")
    done(machine, "uv", "pip", "install", "-q", "--python", "venv", *torch)
    done(
        machine, "git", "clone", "-q", "--depth", "1", "-b", "v0.3.64", "https://github.com/Comfy-Org/ComfyUI"
    )
    return machine


def install(machine: Machine, *more: str) -> None:
    done(machine, "uv", "pip", "install", "-q", "--python", "venv", "-r", "ComfyUI/requirements.txt", *more)


def start(machine: Machine, *flags: str) -> subprocess.CompletedProcess[str]:
    return machine.run(machine.home / "venv/bin/python", "ComfyUI/main.py", *flags)


@contextmanager
def served(machine: Machine) -> Iterator[int]:
    port = free_port()
    command = [machine.home / "venv/bin/python", "ComfyUI/main.py", "--port", f"{port}"]
    with subprocess.Popen(
        command, cwd=machine.home, env=machine.environment, stderr=subprocess.PIPE
    ) as process:
        for line in process.stderr:
            if line.startswith(b"To see the GUI go to: "):
                break
        try:
            yield port
        finally:
            process.kill()


@pytest.mark.parametrize("owner", ["comfyanonymous", "Comfy-Org"])
@pytest.mark.parametrize("ref", [("tag", "v0.3.64"), (COMMIT,)])
def test_the_pinned_release_can_be_fetched(machine: Machine, owner: str, ref: tuple[str, ...]) -> None:
    done(machine, "git", "init", "-q", "ComfyUI")
    git = ("git", "-C", "ComfyUI")
    done(machine, *git, "remote", "add", "origin", f"https://github.com/{owner}/ComfyUI")
    done(machine, *git, "fetch", "--quiet", "--depth", "1", "origin", *ref)
    done(machine, *git, "checkout", "--quiet", "FETCH_HEAD")
    assert done(machine, *git, "rev-parse", "HEAD").strip() == COMMIT
    assert (machine.home / "ComfyUI/models/upscale_models").is_dir()


def test_with_its_requirements_alone_it_dies_of_a_package_that_they_do_not_name(checkout: Machine) -> None:
    install(checkout)
    ran = start(checkout)
    assert ran.returncode == 1
    assert ran.stderr.endswith("ModuleNotFoundError: No module named 'requests'\n")
    done(checkout, "uv", "pip", "install", "-q", "--python", "venv", "requests")
    with served(checkout) as port:
        stats = done(checkout, "curl", "-s", f"http://127.0.0.1:{port}/system_stats")
    assert json.loads(stats)["devices"][0]["name"].startswith("cuda:0 NVIDIA GeForce RTX 4090")
    assert json.loads(stats)["system"]["pytorch_version"] == "2.8.0+cu128"


def test_in_a_world_before_2026_another_package_brought_it(checkout: Machine) -> None:
    install(checkout, "--exclude-newer", "2025-10-20")
    with served(checkout):
        pass


def test_without_a_gpu_it_wants_to_be_told(checkout: Machine) -> None:
    install(checkout, "requests")
    checkout.write_facts(gpus=[])
    ran = start(checkout)
    assert ran.returncode == 1
    assert "torch.cuda.current_device()" in ran.stderr


def test_a_pack_of_nodes_can_be_cloned_and_used(checkout: Machine) -> None:
    install(checkout, "requests")
    folder = "ComfyUI/custom_nodes/ComfyUI-FilmGrain"
    done(checkout, "git", "clone", "-q", NODES, folder)
    broken = checkout.write("ComfyUI/custom_nodes/broken/__init__.py", "import nowhere")
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "FilmGrain", "inputs": {"images": ["1", 0], "strength": 0.5, "seed": 1}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "grain"}},
    }
    image = checkout.home / "ComfyUI/output/grain_00001_.png"
    with served(checkout) as port:
        url = f"http://127.0.0.1:{port}"
        record = json.loads(done(checkout, "curl", "-s", f"{url}/object_info/FilmGrain"))["FilmGrain"]
        assert record["python_module"] == "custom_nodes.ComfyUI-FilmGrain"
        done(checkout, "curl", "-s", "-X", "POST", "--data", json.dumps({"prompt": graph}), f"{url}/prompt")
        deadline = time.monotonic() + 10
        while not image.is_file():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        logs = done(checkout, "curl", "-s", f"{url}/internal/logs")
    assert "(IMPORT FAILED)" in logs
    assert str(broken.parent) in logs


def test_what_the_gateway_needs_is_really_there(machine: Machine) -> None:
    done(machine, "uv", "venv", "-q", "venv")
    done(machine, "uv", "pip", "install", "-q", "--python", "venv", "--require-hashes", "-r", LOCK)
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    listed = json.loads(done(machine, "uv", "pip", "list", "--python", "venv", "--format", "json"))
    assert {package["name"]: package["version"] for package in listed} == pinned
    python = machine.home / "venv/bin/python"
    code = "import importlib.metadata as m, gateway.app, PIL.Image; print(m.version('fastapi'))"
    printed = done(machine, python, "-c", code, env={"PYTHONPATH": str(LOCK.parents[1])})
    assert printed.strip() == pinned["fastapi"]
    assert machine.run(python, "-c", "import requests").returncode == 1, "and nothing else of the host"
    done(machine, "uv", "pip", "uninstall", "--python", "venv", "fastapi")
    assert machine.run(python, "-c", "import fastapi").returncode == 1


def test_a_real_package_brings_real_ones(machine: Machine) -> None:
    done(machine, "uv", "venv", "-q", "venv")
    done(machine, "uv", "pip", "install", "-q", "--python", "venv", "fastapi")
    done(machine, machine.home / "venv/bin/python", "-c", "import fastapi; fastapi.FastAPI()")


def test_a_requirement_without_a_hash_is_refused_where_all_must_have_one(machine: Machine) -> None:
    done(machine, "uv", "venv", "-q", "venv")
    lock = machine.write("lock.txt", "idna==3.11 \\\n    --hash=sha256:00\nanyio==4.16.0\n")
    ran = machine.run("uv", "pip", "install", "--python", "venv", "--require-hashes", "-r", lock)
    assert ran.returncode == 2
    assert "none were provided for: anyio==4.16.0" in ran.stderr


@pytest.fixture
def vast(machine: Machine) -> Iterator[Machine]:
    """A machine of Vast's ComfyUI image, booted."""
    machine.write_facts(image="vastai/comfy:v0.8.2-cuda-12.9-py312")
    workspace = machine.home / "workspace"
    shutil.copytree(IMAGE / "comfyui", workspace / "ComfyUI")
    machine.environment["WORKSPACE"] = str(workspace)
    machine.environment["PYTHONPATH"] = packages = str(IMAGE / "lib/dist-packages")
    done(machine, "uv", "venv", "-q", "venv/main")
    build = ("-m", "programs.comfy_image", machine.home / "venv/main", machine.home / "venv/main")
    done(machine, "/usr/bin/env", "python3", *build, env={"PYTHONPATH": packages})
    mark = machine.write(".provisioning", "")
    done(
        machine,
        "/usr/bin/env",
        "python3",
        "-c",
        f"from programs import supervisorctl as s; s.boot({str(mark)!r})",
    )
    assert not mark.exists()
    yield machine
    machine.run("supervisorctl", "stop", "comfyui")


def listening() -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", 18188)) == 0


@pytest.mark.skipif(listening(), reason="another ComfyUI has port 18188 on this computer")
def test_what_supervisorctl_says_of_comfyui_is_what_listens(vast: Machine) -> None:
    deadline = time.monotonic() + 20
    while not listening():
        assert time.monotonic() < deadline, (vast.home / "var/log/portal/comfyui.log").read_text()
        time.sleep(0.05)
    assert "RUNNING" in vast.run("supervisorctl", "status", "comfyui").stdout
    assert vast.run("supervisorctl", "start", "comfyui").stdout == "comfyui: ERROR (already started)\n"
    ran = vast.run("supervisorctl", "stop", "comfyui", "api-wrapper")
    assert ran.stdout == "comfyui: stopped\napi-wrapper: stopped\n"
    assert not listening()
    ran = vast.run("supervisorctl", "status", "comfyui")
    assert (ran.returncode, "STOPPED" in ran.stdout) == (3, True)
    assert vast.run("supervisorctl", "stop", "comfyui").stdout == "comfyui: ERROR (not running)\n"
