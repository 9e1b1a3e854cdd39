"""What a run saves comes home whole or not at all, whatever its name and whatever happens on the way."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from trainings import ALL, FAST, LIMIT, PER_EPOCH, SLOW, Home, Node, assert_at_home, follow, silent, watched

from components.errors import TransferFailed
from components.kohya.ledger import next_part
from components.kohya.run import Run
from components.kohya.training import Follower, stop
from components.remote import collect as collecting
from components.remote import progress
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


FULL_DISK = """
import json, resource, sys
from pathlib import Path
from components.errors import FraguaError
from components.kohya.launch import Launch
from components.kohya.run import Run
from components.remote.collect import collect
from components.remote.shell import Login, connect

resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
given = json.load(sys.stdin)
home = Path(given["home"])
with connect(Login.of(given["login"])) as shell:
    try:
        if "folder" in given:
            collect(shell, given["folder"], home, lambda *_: None)
        else:
            run = Run(Launch.model_validate_json(given["launch"]), home, shell)
            run.carry(shell, run.follower(), lambda *_: None)
    except FraguaError as error:
        print(error)
"""


def on_a_full_disk(props: dict[str, Any]) -> str:
    """Carry home, or collect `folder`, where no file can be larger than 1 MB; return the error's words."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK], input=json.dumps(props), capture_output=True, text=True, check=True
    )
    return done.stdout


def trained(node: Node, home: Home, shell: Shell) -> tuple[Run, Follower]:
    """Train a run to its end; nothing of it is at home."""
    run = home.open(shell)
    follower = run.go_on(shell, node.id, LIMIT)
    assert watched(shell, follower, lambda: False).state == "done"
    return run, follower


def cut(done: int, total: int) -> None:
    """Kill the connection of a transfer once a third is done."""
    if done > total // 3:
        for task in Path("/proc/self/task").iterdir():
            for pid in (task / "children").read_text().split():
                if Path(f"/proc/{pid}/comm").read_text() == "ssh\n":
                    os.kill(int(pid), signal.SIGKILL)


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


def test_a_disk_here_that_is_full_is_said_and_holds_no_half_file(
    node: Node, make_home: MakeHome, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with node.shell() as shell:
        shell.run("making", "rm -rf /workspace/odd; mkdir /workspace/odd; cd /workspace/odd; echo small > a")
        shell.run("making", "head -c 2000000 /dev/urandom > /workspace/odd/b")
        said = on_a_full_disk({"login": make_home().props(node)["login"], "home": str(home), "folder": "odd"})
        assert said == f"{home}: File too large\n"
        assert files(home) == {}
        assert collect(shell, "odd", home, lambda *_: None).keys() == files(home).keys() == {"a", "b"}


def test_what_is_cut_off_in_mid_save_is_never_at_home(node: Node, make_home: MakeHome) -> None:
    """The trainer is killed while it writes its second checkpoint, which takes the machine a while."""
    node.facts(scale=SLOW)
    home = make_home(lora={"dim": 512, "alpha": 256})
    there = f"/workspace/{home.launch.folder}/part-1"
    with node.shell() as shell:
        run = home.open(shell)
        follower = run.go_on(shell, node.id, LIMIT)
        sizes = shell.run(
            "killing in mid-save",
            f"""until [ -s {there}/cat-000002.safetensors ]; do :; done
kill -KILL -- -$(cat /workspace/.fragua/jobs/{run.job}/group)
stat -c %s {there}/*.safetensors""",
        ).split()
        assert int(sizes[1]) < int(sizes[0])

        node.facts(scale=FAST)
        assert follow(shell, run, follower).state == "lost"
        assert home.shown == ALL[:1]
        follower = run.go_on(shell, node.id, LIMIT)
        assert home.ends == ["preempted", ""]
        assert home.ledger.parts[1].state == "part-1/cat-000001-state"
        assert not (home.folder / "part-1/cat-000002.safetensors").exists()
        follow(shell, run, follower)
    assert home.shown == ALL
    assert_at_home(home)


def test_what_a_crash_of_the_host_damaged_does_not_count(node: Node, make_home: MakeHome) -> None:
    """The log calls a file saved that never reached the disk."""
    node.facts(scale=SLOW)
    home = make_home()
    with node.shell() as shell:
        run = home.open(shell)
        follower = run.go_on(shell, node.id, LIMIT)
        follow(shell, run, follower, lambda: next_part(run.ledger).done > 0)
        done = next_part(run.ledger).done
        watched(shell, follower, lambda: follower.progress.step > (done + 2) * PER_EPOCH + 5)
        stop(shell, run.job)
        node.facts(scale=FAST)
        shell.run(
            "damaging",
            f"""cd /workspace/{home.launch.folder}/part-1
truncate -s 500000 {ALL[done]}
truncate -s -1 cat-{done + 2:06}-state/model.safetensors""",
        )

        follower = run.go_on(shell, node.id, LIMIT)
        assert home.ledger.parts[1].state == f"part-1/cat-{done:06}-state"
        assert not (home.folder / "part-1" / ALL[done]).exists()
        assert sum("damaged on the machine, and does not count" in line for line in home.said) == 2
        follow(shell, run, follower)
    assert home.shown == ALL
    assert run.complete
    assert_at_home(home)


@pytest.mark.parametrize("kind", ["checkpoint", "state"])
def test_a_fetch_that_is_cut_off_goes_on_later(
    node: Node, make_home: MakeHome, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(progress, "_TELL_EVERY", 0.0)
    home = make_home()
    with node.shell() as shell:
        run, follower = trained(node, home, shell)
        said: list[str] = []

        def cut_off(name: str, done: int, total: int, rate: float) -> None:
            said.append(name)
            if (kind == "state") == name.endswith("-state"):
                cut(done, total)

        with pytest.raises(TransferFailed, match="broke off"):
            run.carry(shell, follower, cut_off)
        assert not (home.folder / "part-1" / said[-1] / "model.safetensors").exists()
        assert said[-1] not in home.shown
        assert not run.complete

    with node.shell() as shell:
        run = home.open(shell)
        run.carry(shell, run.follower(), silent)
    assert run.complete
    assert home.shown == ALL
    assert_at_home(home)
    assert [path.name for path in home.folder.rglob(".*")] == []


def test_a_full_disk_at_home_is_said_and_shows_no_half_checkpoint(node: Node, make_home: MakeHome) -> None:
    home = make_home()
    with node.shell() as shell:
        run, follower = trained(node, home, shell)
        said = on_a_full_disk(home.props(node))
        assert said == f"{home.folder}/part-1/{ALL[0]}: File too large\n"
        assert home.shown == []
        assert [path.name for path in home.folder.rglob("*.safetensors")] == []
        run.carry(shell, follower, silent)
    assert home.shown == ALL
