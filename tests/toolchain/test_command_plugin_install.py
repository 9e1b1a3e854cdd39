"""Which `command` plugin an engine finds: the official one if it can be fetched, else the stand-in."""

import os
import subprocess
from pathlib import Path

import pytest

from toolchain.engine import Engine
from toolchain.plugin import ensure_command_plugin

VERSION = "1.2.1"
OFFICIAL = b"\x7fELF official"

FAKE_PULUMI = """#!/bin/sh
# Does what `pulumi plugin install resource command VERSION` does, online or not.
echo "$@" >> "{calls}"
[ -e "{online}" ] || exit 1
folder="$PULUMI_HOME/plugins/resource-command-v$5"
mkdir -p "$folder" && printf '\\177ELF official' > "$folder/pulumi-resource-command"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "home"


@pytest.fixture
def online(tmp_path: Path) -> Path:
    """The official plugin can be fetched while this file exists."""
    return tmp_path / "online"


@pytest.fixture
def ensure(tmp_path: Path, home: Path, online: Path):
    """`ensure_command_plugin` for our engine or the user's; returns how often it was asked to fetch."""
    pulumi = tmp_path / "bin" / "pulumi"
    pulumi.parent.mkdir()
    pulumi.write_text(FAKE_PULUMI.format(calls=tmp_path / "calls", online=online))
    pulumi.chmod(0o755)

    def run(*, provided: bool) -> int:
        environment = {"PATH": "/usr/bin:/bin", "PULUMI_HOME": str(home)}
        ensure_command_plugin(Engine(pulumi.parent, provided=provided), VERSION, environment)
        calls = tmp_path / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0

    return run


def installed(home: Path) -> Path:
    return home / "plugins" / f"resource-command-v{VERSION}" / "pulumi-resource-command"


@pytest.mark.parametrize("provided", [True, False])
def test_the_official_plugin_is_fetched_once(ensure, home, online, provided):
    online.touch()
    assert ensure(provided=provided) == 1
    assert installed(home).read_bytes() == OFFICIAL
    assert ensure(provided=provided) == 1


def test_offline_our_engine_gets_the_stand_in_and_does_not_try_again(ensure, home):
    assert ensure(provided=True) == 1
    assert os.access(installed(home), os.X_OK)
    assert ensure(provided=True) == 1


def test_a_stand_in_of_another_version_of_fragua_is_replaced(ensure, home):
    ensure(provided=True)
    right = installed(home).read_bytes()
    installed(home).write_text("#!/bin/sh\nexec /gone/.venv/bin/python\n")
    assert ensure(provided=True) == 1
    assert installed(home).read_bytes() == right


def test_offline_the_users_own_engine_gets_the_stand_in_outside_its_home(ensure, home, tmp_path):
    ensure(provided=False)
    assert not home.exists()
    assert os.access(tmp_path / "cache" / "fragua" / "plugins" / "pulumi-resource-command", os.X_OK)


def test_the_stand_in_goes_when_the_official_plugin_has_come(ensure, home, tmp_path):
    ensure(provided=False)
    installed(home).parent.mkdir(parents=True)
    installed(home).write_bytes(OFFICIAL)
    ensure(provided=False)
    assert list((tmp_path / "cache" / "fragua" / "plugins").iterdir()) == []


def test_the_stand_in_runs_the_module_with_the_first_python_on_path(ensure, home, tmp_path):
    ensure(provided=True)
    python = tmp_path / "venv" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    said = subprocess.run(
        [installed(home), "127.0.0.1:1"],
        env={"PATH": f"{python.parent}:/bin"},
        capture_output=True,
        check=True,
    )
    assert said.stdout == b"-P -m toolchain.command_plugin 127.0.0.1:1\n"
