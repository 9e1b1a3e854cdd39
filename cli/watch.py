"""Following a run to its end from here: its saves come home, and a machine that is lost is replaced."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

from pulumi import automation as auto

from cli.console import Voice, bar
from cli.project import known, listener, reason, selected
from components.errors import FraguaError, HostKeyChanged, RemoteError, TrainingFailed, Unreachable
from components.kohya.launch import Launch
from components.kohya.ledger import closed
from components.kohya.run import Run
from components.kohya.training import Follower, failure
from components.remote.shell import Login, connect

if TYPE_CHECKING:
    from pathlib import Path

    from components.remote.job import JobStatus
    from components.remote.shell import Shell

_POLL: Final = 1.0
_PATIENCE: Final = 10.0
"""Seconds to try to reach a machine before Vast.ai is asked what became of it."""
_RECONNECT: Final = 5.0
_GIVE_UP: Final = 600.0
_FIRST_STEP: Final = 3600.0
_MOST_LOSSES: Final = 20
_MOST_TIMES: Final = 3
"""The same error on the same machine."""


def run(root: Path, stack: str) -> None:
    """Follow the training of `stack`, and bring its checkpoints to `output/RUN/`."""
    watch(selected(root, stack), root, Voice())


def watch(stack: auto.Stack, root: Path, voice: Voice) -> list[Path]:
    """Follow the run of `stack` to its end; return the checkpoints brought home.

    A broken connection is opened again. Where the machine is lost, `pulumi up --refresh` rents another one on
    the same conditions, and the run goes on after the last epoch whose state is at home.

    Raises:
        TrainingFailed: it ended without its checkpoint.
        FraguaError: the stack has no training, or it was cut off too often.
        Unreachable: the machine could not be reached for ten minutes, though Vast.ai says that it runs.
    """
    said: list[tuple[int, str]] = []
    for _ in range(_MOST_LOSSES):
        found = known(stack)
        if not found["launch"]:
            raise FraguaError(f"stack {stack.name} has no training: does its `pulumi up` succeed?")
        try:
            return _follow(found, root, voice)
        except (TrainingFailed, HostKeyChanged):
            raise
        except RemoteError as error:  # whatever was going on when the machine went away
            voice.still()
            said.append((int(found["instance"]), str(error)))
            if said.count(said[-1]) >= _MOST_TIMES:
                raise
            voice.line(f"{error}; asking Vast.ai what became of the machine")
            _replace(stack, found["instance"], voice)
    raise FraguaError(f"the run was cut off {_MOST_LOSSES} times; look at its job's bid and countries")


def _follow(found: dict[str, Any], root: Path, voice: Voice) -> list[Path]:
    """Follow the run on its present machine to the end, and return its checkpoints at home.

    Raises:
        Unreachable: the machine is not reached any more.
    """
    launch, home = Launch.model_validate_json(found["launch"]), root / found["checkpoints"]
    if (run := Run(launch, home)).complete:
        run.keep(closed(run.ledger, "done"))
        voice.line(f"{launch.run} is complete in {os.path.relpath(home)}")
        return run.checkpoints
    with connect(Login.of(found["login"]), _PATIENCE) as shell:
        run = Run(launch, home, shell)
        if before := run.checkpoints:
            voice.line(f"{len(before)} checkpoints were brought home before")
        follower = Follower(run.job)
        while True:
            job = _follow_part(shell, run, follower, voice)
            if job.state != "lost":
                break
            voice.line("the machine was restarted: going on with the training")
            follower = run.go_on(shell, int(found["instance"]), _FIRST_STEP)
        run.keep(closed(run.ledger, "done" if run.complete else "failed"), shell)
        if not run.complete:
            raise TrainingFailed(failure(shell, job))
        return run.checkpoints


def _follow_part(shell: Shell, run: Run, follower: Follower, voice: Voice) -> JobStatus:
    def tell(name: str, done: int, total: int, rate: float) -> None:
        voice.moving(
            f"{name} {bar(done, total)} {done / 1e6:.1f}/{total / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s"
        )

    while True:
        job = follower.look(shell)
        for path in run.carry(shell, follower, tell):
            voice.still()
            mb = path.stat().st_size / 1e6
            voice.line(f"brought home {os.path.relpath(path)} ({mb:.1f} MB), sha256 checked")
        progress = follower.progress
        voice.moving(f"training {bar(progress.step, progress.total)} {progress}")
        if job.state != "running":
            voice.still()
            voice.line(f"training ended: {progress}")
            return job
        time.sleep(_POLL)


def _replace(stack: auto.Stack, instance: int, voice: Voice) -> None:
    """Bring the stack up until it has a machine that trains: the same one again, or another.

    Raises:
        Unreachable: Vast.ai says for ten minutes that the machine runs, but it is not reached.
    """
    deadline = time.monotonic() + _GIVE_UP
    while True:
        try:
            stack.up(refresh=True, on_event=listener(voice.line))
        except auto.CommandError as error:
            voice.line(f"{reason(error)}; trying again")
        else:
            found = known(stack)
            if found["instance"] != instance or _answers(found):
                return
        if time.monotonic() > deadline:
            raise Unreachable(
                f"instance {instance} cannot be reached; `pulumi up --replace` rents another, "
                "`pulumi destroy` ends the billing"
            )
        time.sleep(_RECONNECT)


def _answers(found: dict[str, Any]) -> bool:
    try:
        with connect(Login.of(found["login"]), _PATIENCE):
            return True
    except Unreachable:
        return False
