"""The system's `ssh` keeps the stack's key to itself and talks to the pinned machine only."""

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from transfers import BIG, silent, there

from components.errors import AccessDenied, HostKeyChanged
from components.remote import openssh
from components.remote.manifest import scan, sha256
from components.remote.shell import Login, Shell
from components.remote.transfer import send, send_file
from components.vast import keys


def test_a_folder_s_name_may_hold_spaces_and_percent_signs(login: Login, tmp_path: Path) -> None:
    ssh = openssh.arguments(login, tmp_path / "100%d of it" / "my 'keys'")
    done = subprocess.run([*ssh, openssh.MACHINE, "echo $USER"], capture_output=True, text=True, check=True)
    assert done.stdout == "root\n"


def test_the_key_is_in_no_argument_and_gone_afterwards(
    shell: Shell, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    modes: set[tuple[bool | str, int]] = set()
    arguments: list[bytes] = []

    def look(done: int, _total: int, _rate: float) -> None:
        arguments.extend(path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline"))
        for path in (tmp_path / "temporary").rglob("*"):
            modes.add((path.is_dir() or path.name, path.stat().st_mode & 0o777))
        if done == BIG:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send_file(shell, source / "big one.bin", sha256(source / "big one.bin"), "model/x", look)

    body = shell.login.private_key.split("\n")[1].encode()
    assert any(b"HostName=" in each for each in arguments)
    assert not any(body in each for each in arguments)
    assert modes == {(True, 0o700), ("id_ed25519", 0o600), ("known_hosts", 0o644)}
    assert list((tmp_path / "temporary").iterdir()) == []


def test_ssh_refuses_another_host_key(shell: Shell, source: Path) -> None:
    other = keys.generate("x")[1].rsplit(" ", 1)[0]
    deceived = Shell(shell.connection, replace(shell.login, host_key=other))
    with pytest.raises(HostKeyChanged, match="Nothing was sent"):
        send(deceived, source, scan(source), "folder", silent)
    assert there(shell) == {}
    with pytest.raises(AccessDenied):
        send(
            Shell(shell.connection, replace(shell.login, private_key=keys.generate("x")[0])),
            source,
            scan(source),
            "folder",
            silent,
        )
