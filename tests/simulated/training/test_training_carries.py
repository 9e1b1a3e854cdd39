"""What a run saves comes home whole or not at all, whatever its name and whatever happens on the way."""

import resource
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from trainings import Home, Node

from components.errors import TransferFailed
from components.remote import collect as collecting
from components.remote.collect import collect
from components.remote.shell import Shell

MakeHome = Callable[..., Home]

ODD = (
    "plain.bin",
    "with  space.png",
    "a\nbreak.png",
    "\n",
    "back\\slash.png",
    "\\n",
    "-dash.txt",
    "quo'te\".txt",
    "$(touch x).txt",
    "ünïcode ☃.png",
    "deep er/ *?[x]/file",
    f"{'long' * 60}.bin",
)


@contextmanager
def no_room_for(size: int) -> Iterator[None]:
    """Let no file here grow beyond `size` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lay(shell: Shell, names: tuple[str, ...]) -> dict[str, bytes]:
    """Make files of those names on the machine, and return what they hold."""
    contents = {name: Random(name).randbytes(index * 500).hex() for index, name in enumerate(names)}
    orders = ["rm -rf /workspace/odd; mkdir -p /workspace/odd; cd /workspace/odd"]
    for name, content in contents.items():
        path = shlex.quote(f"./{name}")
        orders.append(f'mkdir -p "$(dirname {path})"; printf %s {content} > {path}')
    shell.run("making", "\n".join(orders))
    return {name: content.encode() for name, content in contents.items()}


def test_files_of_any_name_come_home(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_NAMES_AT_ONCE", 100)
    with node.shell() as shell:
        contents = lay(shell, ODD)
        found = collect(shell, "odd", tmp_path / "home", lambda *_: None)
        assert files(tmp_path / "home") == contents
        assert found == {name: sha256(content).hexdigest() for name, content in contents.items()}

        stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "home").rglob("*")}
        collect(shell, "odd", tmp_path / "home", lambda *_: None)
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "home").rglob("*")} == stamps


def test_a_name_that_is_no_text_is_said(node: Node, tmp_path: Path) -> None:
    with node.shell() as shell:
        shell.run("making", "rm -rf /workspace/odd; mkdir /workspace/odd; touch /workspace/odd/$'\\xff'")
        with pytest.raises(TransferFailed, match=r"odd holds a file named .* be brought home"):
            collect(shell, "odd", tmp_path / "home", lambda *_: None)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/outside"])
def test_a_machine_that_lies_writes_nothing_outside(node: Node, tmp_path: Path, path: str) -> None:
    """The host of a machine can make its programs print what it likes."""
    script = f"#!/bin/bash\nprintf '1 {path}\\0'\n"
    with node.shell() as shell:
        lay(shell, ("x",))
        shell.run("lying", "cat > /usr/local/bin/find; chmod +x /usr/local/bin/find", stdin=script)
        try:
            with pytest.raises(TransferFailed, match="cannot be brought home"):
                collect(shell, "odd", tmp_path / "home", lambda *_: None)
        finally:
            shell.run("mending", "rm /usr/local/bin/find")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_here_that_is_full_is_said_and_holds_no_half_file(node: Node, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with node.shell() as shell:
        shell.run("making", "rm -rf /workspace/odd; mkdir /workspace/odd; cd /workspace/odd; echo small > a")
        shell.run("making", "head -c 2000000 /dev/urandom > /workspace/odd/b")
        with no_room_for(1_000_000), pytest.raises(TransferFailed, match=rf"{home}.*: File too large"):
            collect(shell, "odd", home, lambda *_: None)
        assert files(home) == {}
        assert collect(shell, "odd", home, lambda *_: None).keys() == files(home).keys() == {"a", "b"}
