"""A folder as the workspace of a machine, on which the scripts of jobs run for real."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from components.remote.job import Job, JobStatus, log_script, parse_status, start_script, status_script

NAME = "training"
WAIT = "echo up\nwhile [ ! -e go ]; do sleep 0.05; done\n"
"""A script that runs until there is a file `go` in the workspace."""

Found = TypeVar("Found")


def until(look: Callable[[], Found]) -> Found:
    """Return what `look` returns as soon as that is something."""
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def alive(group: int) -> bool:
    """Return whether a process group has a process that was not only left unreaped."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, _, found, *_ = path.read_text().rpartition(")")[2].split()
            if int(found) == group and state != "Z":
                return True
    return False


class Machine:
    """A folder that the scripts take for the workspace of a machine."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.workspace.mkdir(parents=True)

    def run(self, script: str) -> str:
        """Run a script as it comes over SSH: from standard input, without anything of ours around it."""
        environment = {"PATH": os.environ["PATH"], "WORKSPACE": str(self.workspace)}
        command = ["bash", "-s"]
        done = subprocess.run(
            command, input=script.encode(), env=environment, stdout=-1, timeout=30, check=True
        )
        return done.stdout.decode()

    def start(self, script: str, name: str = NAME) -> None:
        answer = json.loads(self.run(start_script(Job(name, script))))
        assert answer == {"job": name, "digest": Job(name, script).digest}

    def status(self, name: str = NAME) -> JobStatus:
        return parse_status(self.run(status_script([name])))[name]

    def ended(self, name: str = NAME) -> JobStatus:
        return until(lambda: state if (state := self.status(name)).state != "running" else None)

    def log(self, name: str = NAME) -> str:
        return self.run(log_script(name, 0))

    def path(self, file: str, name: str = NAME) -> Path:
        return self.workspace / ".fragua" / "jobs" / name / file

    def group(self, name: str = NAME) -> int:
        """Return the id of the job's processes, once the job has told it and said its first word."""
        log = self.path("log", name)
        until(lambda: log.exists() and log.read_text())
        return int(self.path("group", name).read_text())

    def signal(self, number: int, name: str = NAME) -> None:
        os.killpg(self.group(name), number)
