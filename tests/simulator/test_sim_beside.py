"""The simulator as a process beside a command: it ends with the command, unless it is to be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from select import select

import pytest

from cli import simulation
from toolchain.bootstrap import ROOT

_STARTS = """
import sys
from pathlib import Path
from cli import simulation
with simulation.running(Path.cwd(), Path(sys.argv[1]), scale=60, keep=sys.argv[2] == "keep"):
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("keep", [False, True])
def test_it_ends_with_a_command_that_is_killed_unless_it_is_kept(tmp_path: Path, keep: bool) -> None:
    starting = subprocess.Popen(
        [sys.executable, "-c", _STARTS, str(tmp_path), "keep" if keep else "end"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starting.stdout
    assert starting.stdout.readline() == "up\n"
    beside = os.pidfd_open(int((tmp_path / "pid").read_text()))
    starting.kill()
    starting.communicate()

    if keep:
        assert not select([beside], [], [], 0)[0]
        assert simulation.end(tmp_path)
    assert select([beside], [], [], 30)[0]
    os.close(beside)


def test_a_process_that_has_the_number_of_one_that_is_gone_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as other:
        (tmp_path / "pid").write_text(str(other.pid))
        assert not simulation.end(tmp_path)
        assert other.poll() is None
        other.kill()
