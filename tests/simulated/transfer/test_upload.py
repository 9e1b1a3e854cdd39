"""What the providers of folders and files do on a machine, in terms of their resources' properties."""

from dataclasses import asdict
from pathlib import Path

import pytest

from components.errors import TransferFailed
from components.remote.manifest import scan, sha256
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
    changed = {**props, "path": uploaded(str(model), sha256(model)).path}
    assert FileProvider().diff(made.id, props, changed).replaces == ["path"]
    assert FileProvider().diff(made.id, props, {**props, "machine": 8.0}).replaces == ["machine"]


def test_a_folder_that_changed_after_the_plan_is_not_sent(shell: Shell, source: Path) -> None:
    manifest = scan(source)
    props = {
        "machine": 7.0,
        "login": asdict(shell.login),
        "source": str(source),
        "folder": "folder",
        "digest": manifest.digest,
        "files": len(manifest.files),
        "bytes": manifest.size,
    }
    (source / "late.txt").write_text("late")

    with pytest.raises(TransferFailed, match="changed after the plan was made"):
        FolderProvider().create(props)
    assert shell.run("looking", "ls /workspace/folder 2>/dev/null || true") == ""
    FolderProvider().create({**props, "digest": scan(source).digest})
    assert shell.run("reading", "cat /workspace/folder/late.txt") == "late"
