"""Starting sd-scripts on a machine, following it, and proving that it succeeded. Knows no Pulumi.

Success is exit code 0, the closing line and the file: with an empty dataset sd-scripts exits 0 and makes
nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from components.errors import FraguaError, JobFailed, TrainingFailed, Unreachable
from components.kohya.diagnosis import explained
from components.kohya.progress import Progress
from components.remote.job import Job, log_script, start_script, stop_script
from components.remote.jobs import finish, state, tail

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from components.remote.job import JobStatus
    from components.remote.shell import Shell

_POLL: Final = 1.0
_STILL_BILLS: Final = "The machine still bills: mend the job and run `pulumi up` again, or `pulumi destroy`."
_PIECE: Final = 262144


def name_of(run: str, index: int | str) -> str:
    """Return the name of the job on the machine that trains part `index` of `run`; `*` for all parts."""
    return f"train-{run}-{index}"


def prepare(shell: Shell, jobs: list[Job], limit: float, say: Callable[[str], None]) -> None:
    """Wait until `jobs` are done; one that failed or was lost in an earlier run is started again first.

    Raises:
        TrainingFailed: one failed or was lost; the end of its log is in the message.
        Unreachable: they are not done after `limit` seconds.
    """
    try:
        finish(shell, jobs, limit, say)
    except JobFailed as error:
        raise TrainingFailed(
            f"{error.name} {error.state} on the machine (exit code {error.exit_code}). {_STILL_BILLS}\n"
            f"{explained(error.log, error.exit_code)}"
        ) from None


def start(shell: Shell, name: str, script: str) -> None:
    """Start training, unless the same training runs or is done."""
    shell.run("starting the training", start_script(Job(name, script)))


def stop(shell: Shell, name: str) -> None:
    """End the training with all its processes."""
    shell.run("stopping the training", stop_script(name))


class Follower:
    """Reads a training's log as it grows; can begin at any time, and again after a broken connection."""

    def __init__(self, name: str, kept: Path) -> None:
        """Follow the job called `name`; what was read of its log is in the file `kept`, which grows."""
        self.name = name
        self.progress = Progress()
        self._kept = kept
        self._offset = 0
        self._undecoded = b""
        if kept.exists():
            self._take(kept.read_bytes())

    def look(self, shell: Shell) -> JobStatus:
        """Read what is new and return the job's state.

        Raises:
            TrainingFailed: the loss is nan or infinite; the training was stopped, since it cannot recover.
            FraguaError: the log cannot be written here.
        """
        job = state(shell, self.name)
        while self._offset < job.log_bytes:
            piece = shell.read("reading the training's log", log_script(self.name, self._offset, _PIECE))
            if not piece:
                break
            try:
                self._kept.parent.mkdir(parents=True, exist_ok=True)
                with self._kept.open("ab") as file:
                    file.write(piece)
            except OSError as error:
                raise FraguaError(f"{self._kept}: {error.strerror}") from None
            self._take(piece)
        if self.progress.diverged:
            stop(shell, self.name)
            raise TrainingFailed(
                f"the loss is {self.progress.loss} at step {self.progress.step}: stopped. Lower the learning "
                "rate, or use precision bf16."
            )
        return job

    def _take(self, piece: bytes) -> None:
        self._offset += len(piece)
        text, self._undecoded = _decoded(self._undecoded + piece)
        self.progress.read(text)


def first_step(shell: Shell, follower: Follower, limit: float, say: Callable[[str], None]) -> None:
    """Wait until `follower` has seen two steps: after the first the optimizer takes memory for its states.

    Raises:
        TrainingFailed: the trainer ended before, or made nothing.
        Unreachable: no step after `limit` seconds.
    """
    deadline, told = time.monotonic() + limit, ""
    while True:
        job = follower.look(shell)
        if follower.progress.step > 1 or follower.progress.finished:
            return
        if job.state != "running":
            when = "after" if follower.progress.step else "before"
            raise TrainingFailed(
                f"the training {job.state} {when} its first step (exit code {job.exit_code}). "
                f"{_STILL_BILLS}\n"
                f"{explained(tail(shell, job), job.exit_code)}"
            )
        if time.monotonic() > deadline:
            raise Unreachable(f"no training step after {limit / 60:g} minutes; the log ends: {job.tail}")
        if job.tail and job.tail != told:
            say(f"starting: {job.tail}")
            told = job.tail
        time.sleep(_POLL)


def failure(shell: Shell, job: JobStatus) -> str:
    """Say why a training that has ended did not make its last checkpoint."""
    why = f"exit code {job.exit_code}" if job.state == "failed" else f"it {job.state}, but made no checkpoint"
    return f"the training failed: {why}.\n{explained(tail(shell, job), job.exit_code)}"


def _decoded(data: bytes) -> tuple[str, bytes]:
    """Decode all but a character that is cut off at the end."""
    for cut in range(min(4, len(data) + 1)):
        end = len(data) - cut
        try:
            return data[:end].decode("utf-8"), data[end:]
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="replace"), b""
