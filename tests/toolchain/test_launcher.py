"""`./fragua` as a person starts it: a checkout of its own, any folder, any Python."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain.bootstrap import ROOT, needs_engine

CLI = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "folder": os.getcwd(), "python": sys.prefix}))
sys.exit(7)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A checkout with the real launcher and toolchain, no dependency, and a `cli` that tells."""
    root = tmp_path_factory.mktemp("with space") / "fragua"
    root.mkdir()
    shutil.copy(ROOT / "fragua", root)
    unneeded = shutil.ignore_patterns("command_plugin", "go", "__pycache__")
    shutil.copytree(ROOT / "toolchain", root / "toolchain", ignore=unneeded)
    (root / "requirements.lock").touch()
    (root / "cli").mkdir()
    (root / "cli" / "__main__.py").write_text(CLI)
    return root


def launch(launcher: Path, *arguments: str, folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "HOME": str(folder)}
    return subprocess.run(
        [launcher, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def path_with(folder: Path, python: str) -> str:
    """A PATH of the little that the launcher needs, with this `python3`."""
    folder.mkdir(exist_ok=True)
    for tool in ("dirname", "readlink", "sh"):
        (folder / tool).symlink_to(shutil.which(tool) or "")
    (folder / "python3").write_text(f"#!/bin/sh\n{python}\n")
    (folder / "python3").chmod(0o755)
    return str(folder)


THIS_PYTHON = f'exec {sys.executable} "$@"'
AN_OLD_PYTHON = "exit 1"  # its answer when it is asked whether it is new enough


def test_it_makes_the_environment_once_and_passes_on_arguments_folder_and_exit_status(checkout, tmp_path):
    path = path_with(tmp_path / "bin", THIS_PYTHON)
    link = tmp_path / "linked"
    link.symlink_to(checkout / "fragua")
    (tmp_path / "cli").mkdir()  # not ours, and not to be run

    first = launch(checkout / "fragua", "simulator", "a b", "--x=*", folder=tmp_path, path=path)
    assert first.returncode == 7, first.stderr
    assert "making .venv" in first.stderr
    assert json.loads(first.stdout) == {
        "arguments": ["simulator", "a b", "--x=*"],
        "folder": str(tmp_path),
        "python": str(checkout / ".venv"),
    }
    second = launch(link, "simulator", "a b", "--x=*", folder=tmp_path, path=path)
    assert (second.stdout, second.stderr) == (first.stdout, "")


def test_without_a_python_that_is_new_enough_it_says_what_to_install(tmp_path):
    shutil.copy(ROOT / "fragua", tmp_path)
    path = path_with(tmp_path / "bin", AN_OLD_PYTHON)
    done = launch(tmp_path / "fragua", "demo", folder=tmp_path, path=path)
    assert done.returncode == 1
    assert "no Python >= 3.11 on PATH" in done.stderr
    assert "Install one" in done.stderr


def test_a_missing_engine_is_one_clear_error_without_a_traceback(checkout, tmp_path):
    pins = checkout / "toolchain" / "versions.toml"
    pins.write_text(pins.read_text().replace("https://get.pulumi.com", "http://127.0.0.1:9"))
    path = path_with(tmp_path / "bin", THIS_PYTHON)
    done = launch(checkout / "fragua", "demo", folder=tmp_path, path=path)
    assert done.returncode == 1
    assert "there is no Pulumi engine here" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        ([], False),
        (["--help"], False),
        (["simulator", "--port", "0"], False),
        (["demo", "--help"], False),
        (["demo"], True),
        (["test", "-k", "engine"], True),
        (["pulumi", "up", "-s", "train"], True),
        (["pulumi", "--help"], True),
    ],
)
def test_the_engine_is_set_up_only_for_commands_that_start_it(arguments, needed):
    assert needs_engine(arguments) is needed
