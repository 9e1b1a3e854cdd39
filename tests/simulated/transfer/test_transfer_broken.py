"""Transfers that break off leave nothing half, and go on where they ended, in each way there is."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Thread

import pytest
from rented import Cloud, Run
from transfers import BIG, Cut, put, silent, there, write

from components.errors import TransferFailed
from components.remote import landing, pipe, transfer
from components.remote.landing import Landing
from components.remote.manifest import scan, sha256
from components.remote.shell import Login, Shell, connect
from components.remote.transfer import fetch, send, send_file
from components.vast.release import release


def test_a_broken_transfer_leaves_the_folder_alone_and_goes_on_where_it_ended(
    way: str, login: Login, shell: Shell, source: Path
) -> None:
    write(source / "first", b"1")
    put(shell, source)
    before = there(shell)
    for number in range(40):
        write(source / f"many/{number}", Random(number).randbytes(50_000))
    write(source / "other.bin", Random(2).randbytes(BIG))
    added = 40 * 50_000 + BIG
    cut = Cut(shell)
    with pytest.raises(TransferFailed, match="Run it again: it goes on where it ended"):
        send(shell, source, scan(source), "folder", cut)

    with connect(login) as again:
        assert there(again) == before
        sent = put(again, source)
    assert 0 < sent < added
    assert sent <= added - cut.done + (6 << 20), "what was on its way is lost at most"


def test_a_file_is_sent_resumed_and_replaced(way: str, login: Login, shell: Shell, source: Path) -> None:
    big = source / "big one.bin"
    with pytest.raises(TransferFailed):
        send_file(shell, big, sha256(big), "model/base file.safetensors", Cut(shell))
    with connect(login) as again:
        assert "base file.safetensors" not in there(again, "model")
        assert 0 < send_file(again, big, sha256(big), "model/base file.safetensors", silent) < BIG
        assert send_file(again, big, sha256(big), "model/base file.safetensors", silent) == 0
        assert there(again, "model") == {"base file.safetensors": sha256(big)}
        write(big, b"x" * BIG)
        assert send_file(again, big, sha256(big), "model/base file.safetensors", silent) == BIG
        assert there(again, "model") == {"base file.safetensors": sha256(big)}


def test_a_file_comes_home_from_where_it_broke_off(
    way: str, login: Login, shell: Shell, tmp_path: Path
) -> None:
    told: list[int] = []
    target = tmp_path / "home" / "model [1]"
    shell.run("making", "head -c 20000000 /dev/urandom > /workspace/model")
    with pytest.raises(TransferFailed):
        fetch(shell, "model", target, Cut(shell))
    assert not target.exists()

    with connect(login) as again:
        digest = fetch(again, "model", target, lambda done, total, _: told.append(total - done))
        assert told[0] < 19_000_000
        assert sha256(target) == digest
        assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_of_two_senders_to_a_folder_one_is_refused_and_the_other_ends_whole(
    login: Login, shell: Shell, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_PATIENCE", 1)
    refused = []

    def another(_done: int, _total: int, _rate: float) -> None:
        if not refused:
            write(tmp_path / "other" / "plain.png", b"something else")
            with connect(login) as second, pytest.raises(TransferFailed) as error:
                send(second, tmp_path / "other", scan(tmp_path / "other"), "folder", silent)
            refused.append(str(error.value))

    send(shell, source, scan(source), "folder", another)

    assert refused[0].startswith("folder: another `pulumi up` or `./fragua watch` sends it to the machine")
    assert there(shell) == scan(source).hashes
    put(shell, tmp_path / "other")


def test_a_sender_that_is_not_heard_any_more_does_not_keep_another_away(
    login: Login, shell: Shell, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "_SILENCE", 2)
    monkeypatch.setattr(
        landing, "tended", lambda *words, within, **_: pipe.tended(*words, every=3600, within=within)
    )
    with Landing(shell, "folder").alone(), connect(login) as second:
        put(second, source)


def test_a_part_that_is_too_long_is_no_beginning(shell: Shell, source: Path) -> None:
    big = source / "big one.bin"
    part = f"/workspace/model/.{sha256(big)}.part"
    shell.run("making", f"mkdir /workspace/model; head -c {BIG + 1} /dev/zero > {part}")

    assert send_file(shell, big, sha256(big), "model/base", silent) == BIG
    assert there(shell, "model") == {"base": sha256(big)}


def test_a_place_here_that_cannot_be_written_is_said(shell: Shell, tmp_path: Path) -> None:
    shell.run("making", "echo model > /workspace/model")
    (tmp_path / "file").touch()
    with pytest.raises(TransferFailed, match="file/model: File exists"):
        fetch(shell, "model", tmp_path / "file" / "model", silent)


def test_a_part_of_another_file_is_not_used(login: Login, shell: Shell, tmp_path: Path) -> None:
    shell.run("making", "head -c 20000000 /dev/urandom > /workspace/model")
    with pytest.raises(TransferFailed):
        fetch(shell, "model", tmp_path / "home/model", Cut(shell))
    shell.run("making", "head -c 20000000 /dev/urandom > /workspace/model")
    digest = fetch(shell, "model", tmp_path / "home/model", silent)

    assert sha256(tmp_path / "home/model") == digest
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["model"]


def test_half_a_delta_is_used(
    login: Login, shell: Shell, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shell, source)
    write(source / "big one.bin", Random(3).randbytes(BIG))
    programs = tmp_path / "bin"
    write(programs / "rsync", f'#!/bin/sh\nexec {shutil.which("rsync")} --bwlimit=1m "$@"\n'.encode())
    (programs / "rsync").chmod(0o755)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{programs}:{path}")

    def cut() -> None:
        with connect(login) as watcher:
            watcher.run(
                "waiting", "until find /workspace/folder.incoming -size +1M | grep -q .; do sleep 0.05; done"
            )
        Cut(shell)(2, 2, 0)

    thread = Thread(target=cut)
    thread.start()
    with pytest.raises(TransferFailed):
        send(shell, source, scan(source), "folder", silent)
    thread.join()
    monkeypatch.setenv("PATH", path)
    assert there(shell)["big one.bin"] == hashlib.sha256(Random(1).randbytes(BIG)).hexdigest()
    assert put(shell, source) < BIG - (1 << 20)


def test_a_disk_that_fills_up_meanwhile_is_said(
    start: Callable[[], Run], cloud: Cloud, shell: Shell, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else takes the room that was there when it was looked for."""
    for module in (landing, transfer):
        monkeypatch.setattr(module, "check_room", lambda *_: None)
    first = start()
    [healthy] = first.acquire()
    release(cloud.api(), [], first.request.owner)
    cloud.ask("POST", f"machines/{healthy.instance.machine_id}/fault", fault="disk_full")
    [full] = start().acquire()
    cloud.ask("POST", f"machines/{healthy.instance.machine_id}/fault", fault=None)

    with connect(full.login) as narrow:
        with pytest.raises(TransferFailed, match=r"sending big one.bin: the machine's disk is full"):
            send(narrow, source, scan(source), "folder", silent)
        assert there(narrow) == {}
        for number in range(20):
            write(source / f"many/{number}", bytes(100_000))
        with pytest.raises(TransferFailed, match="unpacking on the machine: the machine's disk is full"):
            send(narrow, source, scan(source), "folder", silent)
        assert there(narrow) == {}
