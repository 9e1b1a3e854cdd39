"""`git`, `uv` and `pip`: clones and environments as a training machine gets them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from image_machine import Machine

COMMIT = "48d368fa557731ad0488c07304dfeba8c07910eb"
SD_SCRIPTS = "https://github.com/kohya-ss/sd-scripts.git"
CU128 = ("--index-url", "https://download.pytorch.org/whl/cu128")


def traffic(machine: Machine) -> int:
    lines = (machine.home / "run/traffic").read_text().splitlines()
    return sum(int(line.removeprefix("down ")) for line in lines)


def test_a_clone_has_the_scripts_and_knows_its_commit(machine: Machine) -> None:
    done = machine.run("git", "clone", "--depth", "1", SD_SCRIPTS)

    assert (done.returncode, done.stderr) == (0, "Cloning into 'sd-scripts'...\n")
    scripts = machine.home / "sd-scripts"
    assert {"sdxl_train.py", "sdxl_train_network.py", "requirements.txt"} <= {
        path.name for path in scripts.iterdir()
    }
    assert machine.run("git", "-C", "sd-scripts", "rev-parse", "HEAD").stdout == COMMIT + "\n"
    assert machine.run("git", "status", "--porcelain", cwd=scripts).stdout == ""
    assert 5_000_000 < traffic(machine) < 20_000_000


def test_a_pinned_commit_can_be_checked_out_and_an_unknown_one_not(machine: Machine) -> None:
    machine.run("git", "clone", "-q", SD_SCRIPTS, "here")

    assert machine.run("git", "-C", "here", "checkout", COMMIT).stderr == "HEAD is now at 48d368fa\n"
    wrong = machine.run("git", "-C", "here", "checkout", "nothing")
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "error: pathspec 'nothing' did not match any file(s) known to git\n",
    )
    assert machine.run("git", "-C", "here", "checkout", "f" * 40).returncode == 128


def test_one_commit_can_be_fetched_into_a_new_repository(machine: Machine) -> None:
    commands = (
        ("git", "init", "-q", "pinned"),
        ("git", "-C", "pinned", "remote", "add", "origin", SD_SCRIPTS),
        ("git", "-C", "pinned", "fetch", "-q", "--depth", "1", "origin", COMMIT),
        ("git", "-C", "pinned", "checkout", "-q", "FETCH_HEAD"),
    )
    assert [machine.run(*command).returncode for command in commands] == [0, 0, 0, 0]
    assert (machine.home / "pinned/sdxl_train.py").is_file()
    assert machine.run("git", "-C", "pinned", "rev-parse", "HEAD").stdout == COMMIT + "\n"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "https://nowhere.example/x/y",
            "fatal: unable to access 'https://nowhere.example/x/y/': Could not resolve host:",
        ),
        ("https://github.com/nobody/nothing", "fatal: could not read Username for 'https://github.com'"),
    ],
)
def test_other_repositories_are_out_of_reach(machine: Machine, url: str, message: str) -> None:
    done = machine.run("git", "clone", url)

    assert done.returncode == 128
    assert message in done.stderr
    assert not (machine.home / url.rpartition("/")[2]).exists()


def test_a_folder_in_the_way_stops_a_clone(machine: Machine) -> None:
    machine.write("sd-scripts/file", "x")
    done = machine.run("git", "clone", SD_SCRIPTS)

    assert done.returncode == 128
    assert "fatal: destination path 'sd-scripts' already exists and is not an empty directory." in done.stderr


def test_the_web_folder_holds_further_repositories(machine: Machine) -> None:
    machine.write("web/github.com/me/mine/file.txt", "hello")
    machine.write_facts(web=str(machine.home / "web"))

    assert machine.run("git", "clone", "https://github.com/me/mine").returncode == 0
    assert (machine.home / "mine/file.txt").read_text() == "hello"


def test_ordinary_repositories_are_the_real_gits(machine: Machine) -> None:
    machine.run("git", "init", "-q", "own")
    machine.write("own/file", "x")

    assert machine.run("git", "status", "--porcelain", cwd=machine.home / "own").stdout == "?? file\n"
    assert machine.run("git", "clone", "-q", "own", "copy").returncode == 0


@pytest.fixture
def venv(machine: Machine) -> Path:
    assert machine.run("uv", "venv", "venv").returncode == 0
    return machine.home / "venv"


def test_an_environment_is_real_and_can_be_activated(machine: Machine, venv: Path) -> None:
    script = ". venv/bin/activate; command -v python; python -c 'import sys; print(sys.prefix)'; deactivate; echo $VIRTUAL_ENV."
    done = machine.run("/bin/bash", "-c", script)

    assert done.stdout.splitlines() == [f"{venv}/bin/python", str(venv), "."]
    again = machine.run("uv", "venv", "venv")
    assert again.returncode == 2
    assert "A virtual environment already exists at `venv`." in again.stderr


def test_torch_is_installed_by_index_and_sees_the_gpu(machine: Machine, venv: Path) -> None:
    done = machine.run("uv", "pip", "install", "--python", "venv", "torch==2.7.1", "torchvision", *CU128)

    assert done.returncode == 0
    assert " + torch==2.7.1+cu128" in done.stderr.splitlines()
    assert " + torchvision==0.22.1+cu128" in done.stderr.splitlines()
    assert traffic(machine) > 2_500_000_000
    probe = (
        "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available(), "
        "torch.cuda.device_count(), torch.cuda.get_device_name(0))"
    )
    assert (
        machine.run(venv / "bin/python", "-c", probe).stdout
        == "2.7.1+cu128 12.8 True 1 NVIDIA GeForce RTX 4090\n"
    )


def test_a_driver_too_old_for_torchs_cuda_hides_the_gpu(machine: Machine, venv: Path) -> None:
    machine.run("uv", "pip", "install", "-q", "--python", "venv", "torch", "--torch-backend", "cu130")
    done = machine.run(venv / "bin/python", "-c", "import torch; print(torch.cuda.is_available())")

    assert done.stdout == "False\n"
    assert "The NVIDIA driver on your system is too old (found version 12080)" in done.stderr


def test_the_backend_can_follow_the_driver(machine: Machine, venv: Path) -> None:
    machine.with_gpus(("NVIDIA A100-SXM4-80GB", 81920), driver="550.90.07", cuda="12.4")
    machine.run("uv", "pip", "install", "-q", "--python", "venv", "torch", "--torch-backend=auto")

    assert "torch==2.6.0+cu124" in machine.run("uv", "pip", "freeze", "--python", "venv").stdout.splitlines()


def test_xformers_from_pypi_replaces_torch(machine: Machine, venv: Path) -> None:
    machine.run(
        "uv",
        "pip",
        "install",
        "-q",
        "--python",
        "venv",
        "torch==2.6.0",
        *CU128[:1],
        CU128[1].replace("128", "124"),
    )
    done = machine.run("uv", "pip", "install", "--python", "venv", "xformers")

    assert {" - torch==2.6.0+cu124", " + torch==2.9.1", " + xformers==0.0.33.post2"} <= set(
        done.stderr.splitlines()
    )
    index = ("--extra-index-url", CU128[1])
    kept = machine.run("uv", "pip", "install", "--python", "venv", "torch==2.7.1", "xformers", *index)
    assert " + xformers==0.0.31.post1" in kept.stderr.splitlines()


@pytest.mark.parametrize(
    ("specs", "cause"),
    [
        (
            ("nosuchpackage",),
            "Because nosuchpackage was not found in the package registry and you require nosuchpackage",
        ),
        (
            ("torch==2.6.0", *CU128),
            "Because there is no version of torch==2.6.0 and you require torch==2.6.0",
        ),
        (("accelerate", *CU128), "Because accelerate was not found in the package registry"),
    ],
)
def test_what_no_index_has_cannot_be_resolved(
    machine: Machine, venv: Path, specs: tuple[str, ...], cause: str
) -> None:
    done = machine.run("uv", "pip", "install", "--python", "venv", *specs)

    assert done.returncode == 1
    assert "No solution found when resolving dependencies:" in done.stderr
    assert cause in done.stderr


def test_packages_can_be_listed_shown_and_removed(machine: Machine, venv: Path) -> None:
    machine.run("uv", "pip", "install", "-q", "--python", "venv", "toml==0.10.2", "Voluptuous")

    assert (
        machine.run("uv", "pip", "freeze", "--python", "venv").stdout == "toml==0.10.2\nvoluptuous==0.15.2\n"
    )
    listed = json.loads(machine.run("uv", "pip", "list", "--format", "json", "--python", "venv").stdout)
    assert listed[0] == {"name": "toml", "version": "0.10.2"}
    assert "Version: 0.10.2" in machine.run("uv", "pip", "show", "toml", "--python", "venv").stdout
    assert machine.run("uv", "pip", "show", "nothing", "--python", "venv").returncode == 1
    again = machine.run("uv", "pip", "install", "--python", "venv", "toml")
    assert "Audited 1 package" in again.stderr
    machine.run("uv", "pip", "uninstall", "--python", "venv", "toml")
    gone = machine.run(venv / "bin/python", "-c", "import toml")
    assert gone.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'toml'"


def test_pip_installs_into_the_active_environment(machine: Machine, venv: Path) -> None:
    active = {"VIRTUAL_ENV": str(venv)}

    assert machine.run("pip", "install", "toml", env=active).returncode == 0
    assert machine.run("pip3", "freeze", env=active).stdout == "toml==0.10.2\n"
    lost = machine.run("pip", "install", "toml")
    assert (lost.returncode, lost.stderr.split(";")[0]) == (2, "error: No virtual environment found")


def test_commands_come_with_their_packages(machine: Machine, venv: Path) -> None:
    assert not (venv / "bin/accelerate").exists()
    machine.run(
        "uv",
        "pip",
        "install",
        "-q",
        "--python",
        "venv",
        "accelerate==1.6.0",
        "tensorboard",
        "torch",
        *CU128[:0],
    )

    assert machine.run(venv / "bin/accelerate", "env").returncode == 0
    assert machine.run(venv / "bin/tensorboard", "--version").stdout == "2.21.0\n"
    machine.run("uv", "pip", "install", "-q", "--python", "venv", "tensorboard==2.20.0")
    assert "No module named 'pkg_resources'" in machine.run(venv / "bin/tensorboard", "--version").stderr


def test_requirements_must_be_files_and_checkouts_projects(machine: Machine, venv: Path) -> None:
    missing = machine.run("uv", "pip", "install", "--python", "venv", "-r", "nothing.txt")
    assert (missing.returncode, missing.stderr) == (2, "error: File not found: `nothing.txt`\n")

    done = machine.run("uv", "pip", "install", "--python", "venv", "-e", ".")
    assert "does not appear to be a Python project" in done.stderr


def test_installing_takes_the_time_that_the_link_needs(machine: Machine, venv: Path) -> None:
    machine.write_facts(scale=20, inet_down_mbps=100)
    timed = "import subprocess, sys, time; t = time.monotonic(); subprocess.run(sys.argv[1:]); print(time.monotonic() - t)"
    uv = machine.environment["PATH"].split(":")[1] + "/uv"
    done = machine.run(
        machine.home / "tools/python3",
        "-c",
        timed,
        uv,
        "pip",
        "install",
        "-q",
        "--python",
        "venv",
        "bitsandbytes",
        "--no-deps",
    )

    seconds = float(done.stdout)
    assert 59 * 8.4 / 100 / 20 < seconds < 2


def test_real_git_reads_the_commit_of_a_clone_too(machine: Machine) -> None:
    machine.run("git", "clone", "-q", SD_SCRIPTS)
    done = subprocess.run(
        ["git", "-C", str(machine.home / "sd-scripts"), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == COMMIT + "\n"
