"""A machine for transfers, and what is installed on it and here."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from rented import Cloud, Run, request
from transfers import BIG, write

from components.remote import progress, transfer
from components.remote.shell import Login, Shell, connect
from components.vast import keys
from components.vast.release import release

WAYS = ("openssh and rsync", "no rsync here", "no rsync and no openssl there", "no ssh here")


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
    if request.param == "no rsync and no openssl there":
        shell.run(
            "hiding", "mkdir /root/bin; ln -s /usr/bin/* /root/bin; rm /root/bin/rsync /root/bin/openssl"
        )
        shell.run("hiding", "cp /etc/environment /root/kept; echo PATH=/root/bin >> /etc/environment")
    yield request.param
    if request.param == "no rsync and no openssl there":
        shell.run("showing", "cp /root/kept /etc/environment; rm -r /root/bin")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    names = ("plain.png", "with  space.png", "quo'te\".txt", "-dash.txt", "ünïcode.txt", "deep/er/$file.bin")
    for number, name in enumerate(names):
        write(tmp_path / "source" / name, bytes([number]) * (1000 * number + 1))
    write(tmp_path / "source" / "empty", b"")
    write(tmp_path / "source" / "big one.bin", Random(1).randbytes(BIG))
    return tmp_path / "source"
