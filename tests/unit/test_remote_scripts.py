"""Secrets that are left on a machine, and packages that a job asks for, under a real bash."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.remote.package import needed
from components.remote.secret import secret_path, secret_script

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(texts | st.sampled_from(["$(id)", "`id`", "'", '"', "\\", "END", "a\n\nb\n\n", "${HOME}\r\n"]))
def test_a_secret_arrives_as_it_is_for_nobody_else(text: str) -> None:
    with tempfile.TemporaryDirectory() as workspace:
        path = Path(workspace, secret_path("name"))
        environment = {"PATH": os.environ["PATH"], "WORKSPACE": workspace}
        script = secret_script("name", text).encode()
        done = subprocess.run(["bash", "-s"], input=script, env=environment, capture_output=True, check=True)

        assert (done.stdout, done.stderr) == (b"", b"")
        assert path.read_bytes() == text.rstrip("\n").encode() + b"\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [one.name for one in path.parent.iterdir()] == ["name"]


def test_two_that_leave_the_same_secret_at_once_do_not_take_it_from_each_other(tmp_path: Path) -> None:
    """As two models of one host do: the first is held up, by a pipe, where its file is not in place yet."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/mv").write_text('#!/bin/bash\n[ -z "${HELD:-}" ] || read <&3\nexec /bin/mv "$@"\n')
    (tmp_path / "bin/mv").chmod(0o755)
    environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "WORKSPACE": str(tmp_path)}
    command = ["bash", "-euc", secret_script("name", "opens")]
    reader, writer = os.pipe()
    held = subprocess.Popen(
        ["bash", "-c", f'exec 3<&{reader}; exec "$@"', "held", *command],
        env={**environment, "HELD": "yes"},
        pass_fds=[reader],
    )
    subprocess.run(command, env=environment, check=True)
    os.write(writer, b"\n")
    os.close(reader)
    os.close(writer)

    assert held.wait(timeout=30) == 0
    assert (tmp_path / secret_path("name")).read_text() == "opens\n"


def run(tmp_path: Path, script: str, update: int = 0) -> tuple[int, list[str]]:
    """Run a script with an apt-get that records what it is asked for; return its calls."""
    calls = tmp_path / "calls"
    calls.touch()
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/bash\necho "$*" >> {calls}\n[ "$1" != update ] || exit {update}\n[[ "$*" != *absent* ]]\n'
    )
    apt.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=False
    )
    return done.returncode, calls.read_text().splitlines()


def test_a_package_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    assert run(tmp_path, needed("command -v bash && true", "bash")) == (0, [])


@pytest.mark.parametrize("test", ["false && true", "true && false"])
def test_a_package_that_is_not_there_is_installed_even_from_old_lists(tmp_path: Path, test: str) -> None:
    code, (update, install) = run(tmp_path, needed(test, "git", "curl"), update=100)

    assert (code, update) == (0, "update -qq")
    assert install.startswith("install -yqq ")
    assert install.endswith(" git curl")


def test_a_package_that_cannot_be_had_ends_the_job(tmp_path: Path) -> None:
    code, _ = run(tmp_path, needed("false", "absent") + "\ntouch after")

    assert code == 1
    assert not (tmp_path / "after").exists()
