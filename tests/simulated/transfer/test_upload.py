"""What the providers of folders and files do on a machine, in terms of their resources' properties."""

import sqlite3
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from components.errors import TransferFailed
from components.remote.manifest import Manifest, scan, sha256
from components.remote.model import uploaded
from components.remote.provider import FileProvider, FolderProvider
from components.remote.shell import Shell


def test_a_base_model_of_this_computer_is_sent_under_a_name_that_tells_its_content(
    shell: Shell, tmp_path: Path
) -> None:
    model = tmp_path / "my model.safetensors"
    model.write_bytes(b"weights" * 99)
    path = uploaded(str(model), sha256(model)).path
    props = {"machine": 7.0, "login": asdict(shell.login), "source": str(model), "path": path}
    made = FileProvider().create(props)

    assert made.id == f"7/{path}"
    assert shell.run("reading", f"cat /workspace/{path}") == "weights" * 99
    assert not FileProvider().diff(made.id, made.outs or {}, props).changes
    model.write_bytes(b"others")
    with pytest.raises(TransferFailed, match="changed after the plan was made"):
        FileProvider().create(props)
    assert shell.run("reading", f"cat /workspace/{path}") == "weights" * 99
    changed = {**props, "path": uploaded(str(model), sha256(model)).path}
    assert FileProvider().diff(made.id, props, changed).replaces == ["path"]
    assert FileProvider().diff(made.id, props, {**props, "machine": 8.0}).replaces == ["machine"]


def folder_props(shell: Shell, source: Path, manifest: Manifest) -> dict[str, object]:
    return {
        "machine": 7.0,
        "login": asdict(shell.login),
        "source": str(source),
        "folder": "folder",
        "digest": manifest.digest,
        "files": len(manifest.files),
        "bytes": manifest.size,
    }


def test_a_folder_that_changed_after_the_plan_is_not_sent(shell: Shell, source: Path) -> None:
    props = folder_props(shell, source, scan(source))
    (source / "late.txt").write_text("late")

    with pytest.raises(TransferFailed, match="changed after the plan was made"):
        FolderProvider().create(props)
    assert shell.run("looking", "ls /workspace/folder 2>/dev/null || true") == ""
    FolderProvider().create({**props, "digest": scan(source).digest})
    assert shell.run("reading", "cat /workspace/folder/late.txt") == "late"


def test_a_folder_that_is_not_what_is_remembered_of_it_is_not_sent_but_read_for_the_next_plan(
    shell: Shell, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As if the disk had lost bytes, which changes no time of a file."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10_000_000_000)
    monkeypatch.setenv("FRAGUA_HOME", str(tmp_path / "home"))
    scan(source, known=True)
    [memory] = (tmp_path / "home").iterdir()
    with sqlite3.connect(memory) as opened:
        opened.execute("UPDATE known SET note = ?", ("0" * 64,))
    plan = scan(source, known=True)
    assert plan != scan(source)

    with pytest.raises(TransferFailed, match="changed after the plan was made"):
        FolderProvider().create(folder_props(shell, source, plan))
    assert scan(source, known=True) == scan(source)
