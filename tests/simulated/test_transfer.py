"""Folders and files to and from a machine, in each way there is: whole or not at all, and only what is new."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from rented import Cloud, Run, request

from components.errors import HostKeyChanged, RemoteError, TransferFailed
from components.remote import progress, transfer
from components.remote.manifest import Manifest, scan
from components.remote.shell import Login, Shell, connect
from components.remote.transfer import fetch, send, send_file
from components.vast import keys
from components.vast.release import release

BIG = 3 << 20

WAYS = ("openssh and rsync", "no rsync here", "no rsync there", "no ssh here")


@pytest.fixture(scope="module")
def login(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    """One verified machine for all tests here."""
    with rented(cloud, tmp_path_factory.mktemp("memory")) as found:
        yield found


@contextmanager
def rented(cloud: Cloud, memory: Path) -> Iterator[Login]:
    run = Run(cloud, request())
    keys.register(cloud.api(), run.request.public_key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAGUA_HOME", str(memory))
        [machine] = run.acquire()
    yield machine.login
    release(cloud.api(), [], run.request.owner)


@pytest.fixture
def shell(login: Login, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A machine whose workspace is empty; files of 2 MB are big, and each block is told."""
    monkeypatch.setattr(transfer, "BIG", 2 << 20)
    monkeypatch.setattr(progress, "_TELL_EVERY", 0.0)
    with connect(login) as opened:
        opened.run("clearing", "cd /workspace && rm -rf folder* .fragua model .*.part")
        yield opened


@pytest.fixture(params=WAYS)
def way(
    request: pytest.FixtureRequest, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """What is installed."""
    hidden = {"no rsync here": "rsync", "no ssh here": "ssh"}.get(request.param)
    if hidden:
        programs = tmp_path / "bin"
        programs.mkdir()
        for name in {"ssh", "rsync"} - {hidden}:
            (programs / name).symlink_to(str(shutil.which(name)))
        monkeypatch.setenv("PATH", str(programs))
    if request.param == "no rsync there":
        shell.run("hiding", "mkdir /root/bin; ln -s /usr/bin/* /root/bin; rm /root/bin/rsync")
        shell.run("hiding", "cp /etc/environment /root/kept; echo PATH=/root/bin >> /etc/environment")
    yield request.param
    if request.param == "no rsync there":
        shell.run("showing", "cp /root/kept /etc/environment; rm -r /root/bin")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    names = ("plain.png", "with  space.png", "quo'te\".txt", "-dash.txt", "ünïcode.txt", "deep/er/$file.bin")
    for number, name in enumerate(names):
        write(tmp_path / "source" / name, bytes([number]) * (1000 * number + 1))
    write(tmp_path / "source" / "empty", b"")
    write(tmp_path / "source" / "big one.bin", Random(1).randbytes(BIG))
    return tmp_path / "source"


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def silent(_done: int, _total: int, _rate: float) -> None:
    """Tell nothing."""


def there(shell: Shell, folder: str = "folder") -> dict[str, str]:
    """Return path and hash of everything in a folder, hidden or not; nothing else may be in it."""
    output = shell.run("listing", f"cd /workspace/{folder} 2>&1 || exit 0; find . -type f | xargs -d '\\n' sha256sum")
    return {path.removeprefix("./"): digest for digest, _, path in (line.partition("  ") for line in output.splitlines()) if path}


def put(shell: Shell, source: Path, tell: Callable[[int, int, float], None] = silent) -> int:
    manifest = scan(source)
    sent = send(shell, source, manifest, "folder", tell)
    assert there(shell) == manifest.hashes
    assert shell.run("listing", "cd /workspace; ls -d folder.*; true") == ""
    return sent


def test_a_folder_arrives_and_then_only_what_is_new(way: str, shell: Shell, source: Path) -> None:
    assert put(shell, source) == scan(source).size
    assert put(shell, source) == 0

    write(source / "plain.png", b"new")
    assert put(shell, source) == 3

    (source / "-dash.txt").unlink()
    (source / "deep").rename(source / "deeper")
    shutil.copy(source / "big one.bin", source / "copy of it")
    assert put(shell, source) == 0


def test_a_changed_big_file_costs_its_changes_where_rsync_is_on_both_sides(
    way: str, shell: Shell, source: Path
) -> None:
    put(shell, source)
    content = bytearray((source / "big one.bin").read_bytes())
    content[BIG // 2 : BIG // 2 + 100] = b"x" * 100
    write(source / "big one.bin", bytes(content))

    sent = put(shell, source)

    assert sent < BIG // 20 if way == "openssh and rsync" else sent == BIG
