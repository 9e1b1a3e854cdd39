"""Folders and files to and from a machine, in each way there is: whole or not at all, only what is new."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random
from threading import Thread

import pytest
from rented import Cloud, Run, request

from components.errors import AccessDenied, HostKeyChanged, TransferFailed
from components.remote import progress, transfer
from components.remote.manifest import File, Manifest, scan
from components.remote.shell import Login, Shell, connect
from components.remote.transfer import fetch, send, send_file
from components.vast import keys
from components.vast.release import release

BIG = 3 << 20

COUNT = r"""mv /usr/local/bin/sha256sum /root && cat > /usr/local/bin/sha256sum << 'END'
#!/bin/bash
printf '%s\n' "${@:2}" >> /root/hashed
exec /usr/bin/sha256sum "$@"
END
chmod +x /usr/local/bin/sha256sum"""

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
    output = shell.run(
        "listing", f"cd /workspace/{folder} 2>&1 || exit 0; find . -type f | xargs -rd '\\n' sha256sum"
    )
    return {
        path.removeprefix("./"): digest
        for digest, _, path in (line.partition("  ") for line in output.splitlines())
        if path
    }


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


def programs() -> Iterator[tuple[int, str]]:
    """Return the children of this process: number and name."""
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            yield int(pid), Path(f"/proc/{pid}/comm").read_text().strip()


class Cut:
    """A `tell` that breaks the connection once half is done."""

    def __init__(self, shell: Shell) -> None:
        self.shell, self.done = shell, 0

    def __call__(self, done: int, total: int, _rate: float) -> None:
        if not self.done and done > total // 2:
            self.done = done
            children = [pid for pid, name in programs() if name in ("ssh", "rsync")]
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            if not children:
                self.shell.connection.transport.close()


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
    assert sent <= added - cut.done + (2 << 20), "the bytes between here and there at most"


def test_a_file_is_sent_resumed_and_replaced(way: str, login: Login, shell: Shell, source: Path) -> None:
    big = source / "big one.bin"
    with pytest.raises(TransferFailed):
        send_file(shell, big, "model/base file.safetensors", Cut(shell))
    with connect(login) as again:
        assert "base file.safetensors" not in there(again, "model")
        assert 0 < send_file(again, big, "model/base file.safetensors", silent) < BIG
        assert send_file(again, big, "model/base file.safetensors", silent) == 0
        assert there(again, "model") == {"base file.safetensors": sha256(big.read_bytes()).hexdigest()}
        write(big, b"x" * BIG)
        assert send_file(again, big, "model/base file.safetensors", silent) == BIG
        assert there(again, "model") == {"base file.safetensors": sha256(big.read_bytes()).hexdigest()}


def test_a_file_comes_home_from_where_it_broke_off(
    way: str, login: Login, shell: Shell, tmp_path: Path
) -> None:
    told: list[int] = []
    target = tmp_path / "home" / "model [1]"
    shell.run("making", "head -c 9000000 /dev/urandom > /workspace/model")
    with pytest.raises(TransferFailed):
        fetch(shell, "model", target, Cut(shell))
    assert not target.exists()

    with connect(login) as again:
        digest = fetch(again, "model", target, lambda done, total, _: told.append(total - done))
        assert told[0] < 8_000_000
        assert sha256(target.read_bytes()).hexdigest() == digest
        assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_part_of_another_file_is_not_used(login: Login, shell: Shell, tmp_path: Path) -> None:
    shell.run("making", "head -c 9000000 /dev/urandom > /workspace/model")
    with pytest.raises(TransferFailed):
        fetch(shell, "model", tmp_path / "home/model", Cut(shell))
    shell.run("making", "head -c 9000000 /dev/urandom > /workspace/model")
    digest = fetch(shell, "model", tmp_path / "home/model", silent)

    assert sha256((tmp_path / "home/model").read_bytes()).hexdigest() == digest
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
    assert there(shell)["big one.bin"] == sha256(Random(1).randbytes(BIG)).hexdigest()
    assert put(shell, source) < BIG - (1 << 20)


def test_what_is_linked_is_never_written_to(login: Login, shell: Shell, source: Path) -> None:
    """An interrupted send linked a small file where a bigger one belongs that grew meanwhile."""
    write(source / "grows", b"a" * BIG)
    put(shell, source)
    shell.run("linking", "cd /workspace; mkdir folder.incoming; ln folder/plain.png folder.incoming/grows")
    write(source / "grows", b"a" * BIG + b"b")
    put(shell, source)


def test_only_what_may_have_changed_is_hashed_and_what_did_is_mended(shell: Shell, source: Path) -> None:
    put(shell, source)
    shell.run("counting", COUNT)
    shell.run(
        "changing", "cd /workspace/folder; printf x > plain.png; echo longer >> -dash.txt; echo > surplus"
    )
    assert send(shell, source, scan(source), "folder", silent) == 1 + (source / "-dash.txt").stat().st_size
    hashed = shell.run(
        "reading", "cat /root/hashed; rm /root/hashed; mv /root/sha256sum /usr/local/bin"
    ).split()
    assert sorted(hashed) == ["-dash.txt", "plain.png", "plain.png", "surplus"]
    assert there(shell) == scan(source).hashes


def test_an_interrupted_change_of_place_is_taken_back(shell: Shell, source: Path) -> None:
    put(shell, source)
    shell.run("interrupting", "cd /workspace; mv folder folder.old; mkdir folder.incoming")
    assert send(shell, source, scan(source), "folder", silent) == 0
    assert there(shell) == scan(source).hashes


def test_an_empty_folder_is_sent(shell: Shell, source: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    put(shell, tmp_path / "nothing")
    put(shell, source)
    put(shell, tmp_path / "nothing")
    assert shell.run("looking", "stat -c %F /workspace/folder").strip() == "directory"


def test_a_file_takes_a_folder_s_place_and_a_folder_a_file_s(shell: Shell, source: Path) -> None:
    put(shell, source)
    shutil.rmtree(source / "deep")
    write(source / "deep", b"now a file")
    (source / "plain.png").unlink()
    write(source / "plain.png" / "inside", b"1")
    put(shell, source)


@pytest.mark.parametrize("name", ["plain.png", "big one.bin"])
@pytest.mark.parametrize("change", ["gone", "a folder", "shorter", "other"])
def test_a_file_that_is_not_what_was_scanned_changes_nothing(
    way: str, shell: Shell, source: Path, name: str, change: str
) -> None:
    write(source / "plain.png", b"two")
    manifest = scan(source)
    path = source / name
    content = path.read_bytes()
    path.unlink()
    if change == "a folder":
        path.mkdir()
    elif change != "gone":
        write(path, content[:-1] if change == "shorter" else b"x" + content[1:])
    with pytest.raises(TransferFailed, match=name):
        send(shell, source, manifest, "folder", silent)

    assert there(shell) == {}


def test_a_disk_without_room_is_said_before_anything_is_sent(shell: Shell, source: Path) -> None:
    with pytest.raises(
        TransferFailed, match=r"disk is full: folder needs 1000000000 MB more.*raise node.disk"
    ):
        send(shell, source, Manifest((File("plain.png", 10**15, "0" * 64),)), "folder", silent)


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
        send_file(shell, source / "big one.bin", "model/x", look)

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
