"""What a folder's resource does: send what was planned, and nothing else."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from transfers import there

from components.errors import TransferFailed
from components.remote.manifest import scan
from components.remote.shell import Login, Shell
from components.remote.upload import upload


def declared(login: Login, source: Path) -> dict[str, Any]:
    digest = scan(source).digest
    return {"source": str(source), "folder": "folder", "digest": digest, "login": asdict(login)}


def test_what_was_planned_is_sent(login: Login, shell: Shell, source: Path) -> None:
    props = declared(login, source)
    assert upload(props) == props
    assert there(shell) == scan(source).hashes


def test_what_changed_since_the_plan_is_not_sent(login: Login, shell: Shell, source: Path) -> None:
    props = declared(login, source)
    (source / "plain.png").write_bytes(b"x")
    with pytest.raises(TransferFailed, match="changed after the plan"):
        upload(props)
    assert there(shell) == {}
