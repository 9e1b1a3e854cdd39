"""Following a training to its end from this computer, and bringing its checkpoints home."""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from cli.console import Voice, bar
from cli.project import outputs
from components.errors import Unreachable
from components.kohya.training import Follower, prove
from components.remote.shell import PATIENCE, Login, connect
from components.remote.transfer import fetch

if TYPE_CHECKING:
    from components.remote.job import JobStatus
    from components.remote.shell import Shell

_POLL: Final = 1.0
_RECONNECT: Final = 5.0
_GIVE_UP: Final = 600.0


def run(root: Path, stack: str) -> None:
    """Follow the training of `stack`, and bring its checkpoints to `output/RUN/`."""
    watch(outputs(root, stack, "run"), root / "output", Voice())


def watch(stack: dict[str, Any], output: Path, voice: Voice) -> list[Path]:
    """Follow the training that `stack` (its outputs) describes; return the checkpoints brought home.

    A broken connection is opened again for up to ten minutes.

    Raises:
        TrainingFailed: it ended without its checkpoint.
        Unreachable: the machine could not be reached for ten minutes.
    """
    login = Login.of(stack["login"])
    follower = Follower()
    home = output / stack["run"]
    fetched: dict[str, Path] = {}
    lost_since: float | None = None
    while True:
        try:
            with connect(login, PATIENCE) as shell:
                job = _follow(shell, follower, home, fetched, voice)
                voice.still()
                prove(shell, follower, job, stack["checkpoint"])
                _bring(shell, [*follower.progress.checkpoints, stack["checkpoint"]], home, fetched, voice)
                return list(fetched.values())
        except Unreachable as error:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > _GIVE_UP:
                raise
            voice.line(f"{error}; trying again")
            time.sleep(_RECONNECT)


def _follow(
    shell: Shell, follower: Follower, home: Path, fetched: dict[str, Path], voice: Voice
) -> JobStatus:
    while True:
        job = follower.look(shell)
        progress = follower.progress
        # a checkpoint is whole once sd-scripts goes on to something else
        whole = progress.checkpoints[:-1] if job.state == "running" else ()
        _bring(shell, whole, home, fetched, voice)
        voice.moving(f"training {bar(progress.step, progress.total)} {progress}")
        if job.state != "running":
            voice.still()
            voice.line(f"training ended: {progress}")
            return job
        time.sleep(_POLL)


def _bring(
    shell: Shell,
    paths: tuple[str, ...] | list[str],
    home: Path,
    fetched: dict[str, Path],
    voice: Voice,
) -> None:
    for path in paths:
        if path in fetched:
            continue
        target = home / PurePosixPath(path).name

        def tell(done: int, total: int, rate: float, name: str = target.name) -> None:
            voice.moving(
                f"{name} {bar(done, total)} {done / 1e6:.1f}/{total / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s"
            )

        digest = fetch(shell, path, target, tell)
        voice.still()
        fetched[path] = target
        size = target.stat().st_size / 1e6
        voice.line(f"brought home {os.path.relpath(target)} ({size:.1f} MB), sha256 {digest[:16]}… checked")
