"""Following a run to its end from here: its saves come home, and a machine that is lost is replaced."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pulumi import automation as auto

from cli.bids import Bids
from cli.console import Voice, bar
from cli.dashboard import line, view
from cli.project import known, listener, reason, selected
from cli.record import Recorder
from components.errors import (
    BucketFailed,
    CommandFailed,
    FraguaError,
    HostKeyChanged,
    RemoteError,
    TrainingFailed,
    Unreachable,
)
from components.kohya.launch import Launch
from components.kohya.ledger import closed
from components.kohya.push import job_name
from components.kohya.run import Run
from components.kohya.training import Follower, failure
from components.remote.gauges import Gauges, gauges_script, parse_gauges
from components.remote.jobs import state
from components.remote.shell import Login, connect
from components.vast import renewal
from components.vast.lease import parse_status, renew_script, status_script

if TYPE_CHECKING:
    from pathlib import Path

    from components.remote.job import JobStatus
    from components.remote.shell import Shell
    from components.vast.lease import LeaseStatus

_POLL: Final = 1.0
_LOOK_AROUND: Final = 5.0
_RENEW: Final = 60.0
_PATIENCE: Final = 10.0
"""Seconds to try to reach a machine before Vast.ai is asked what became of it."""
_RECONNECT: Final = 5.0
_GIVE_UP: Final = 600.0
_RUNNING: Final = "running"
_FIRST_STEP: Final = 3600.0
_MOST_LOSSES: Final = 20
_MOST_TIMES: Final = 3
"""The same error on the same machine."""


def run(root: Path, stack: str) -> None:
    """Follow the training of `stack`, and bring its checkpoints to `output/STACK/RUN/`."""
    watch(selected(root, stack), root, Voice(), ends=True)


def watch(stack: auto.Stack, root: Path, voice: Voice, *, ends: bool = False) -> list[Path]:
    """Follow the run of `stack` to its end; return the checkpoints brought home.

    A broken connection is opened again. Where the machine is lost, `pulumi up --refresh` rents another one on
    the same conditions, and the run goes on after the last epoch whose state is at home or in its bucket; but
    where it was outbid, and going on there for a higher bid costs less, the bid is raised.

    Args:
        stack: the stack.
        root: the project's folder.
        voice: tells a person.
        ends: whether nothing else is to come for the machine, which then ends itself after the run.

    Raises:
        TrainingFailed: it ended without its checkpoint.
        FraguaError: the stack has no training, or it was cut off too often.
        Unreachable: the machine could not be reached for ten minutes, though Vast.ai says that it runs.
        BucketFailed: neither could the machine and the bucket.
    """
    said: list[tuple[int, str]] = []
    bids = Bids(stack)
    for _ in range(_MOST_LOSSES):
        found = known(stack)
        if not found["launch"]:
            raise FraguaError(f"stack {stack.name} has no training: does its `pulumi up` succeed?")
        watching = Watching(root, found, voice, bids)
        try:
            checkpoints = watching.to_the_end()
            watching.at_home(ends=ends)
        except (TrainingFailed, HostKeyChanged) as error:
            watching.failed(str(error))
            raise
        except RemoteError as error:  # whatever was going on when the machine went away
            voice.still()
            watching.take_pushed()
            if watching.complete:
                continue
            said.append((int(found["instance"]), str(error)))
            if said.count(said[-1]) >= _MOST_TIMES:
                raise
            _recover(stack, found, watching, bids, voice, str(error))
        else:
            return checkpoints
    raise FraguaError(f"the run was cut off {_MOST_LOSSES} times; look at its job's bid and countries")


def _recover(
    stack: auto.Stack, found: dict[str, Any], watching: Watching, bids: Bids, voice: Voice, lost: str
) -> None:
    """Get the run a machine again, the same one or another.

    Raises:
        FraguaError: its time or its money is over.
        Unreachable: as `watch`.
    """
    if over := watching.over():
        watching.failed(over)
        raise FraguaError(over) from None
    voice.line(f"{lost}; asking Vast.ai what became of the machine")
    if rebid := bids.rescue(watching.machine, watching.left, watching.spent):
        voice.line(rebid)
    if _replaced(stack, int(found["instance"]), voice):
        watching.lost(lost)


class Watching:
    """One look at a run, on the machine that its stack has now."""

    def __init__(self, root: Path, found: dict[str, Any], voice: Voice, bids: Bids) -> None:
        """Look at the run that the stack's outputs `found` describe."""
        self._found, self._voice, self._bids = found, voice, bids
        self.left = 1.0
        """Share of the training that is still to be done."""
        self.machine = {**found["props"], **found["login"]}
        self._launch = Launch.model_validate_json(found["launch"])
        self._home = root / found["checkpoints"]
        self._run = Run(self._launch, self._home)
        self._recorder = Recorder(root, self._home, self._launch, self._run)
        self._recorder.machine(found)
        self._gauges: Gauges | None = None
        self._looked = self._renewed = 0.0
        self._lease: LeaseStatus | None = None
        self._pushing = ""

    @property
    def complete(self) -> bool:
        """Whether everything is at home, so that no machine is needed any more."""
        return self._run.complete

    @property
    def spent(self) -> float:
        """$ that the run cost until now, as far as is known, with the traffic that was foreseen."""
        return max(self._recorder.spent, self._lease.used if self._lease else 0)

    def to_the_end(self) -> list[Path]:
        """Follow the run to its end, and return its checkpoints at home.

        Raises:
            TrainingFailed: it ended without its last checkpoint.
            RemoteError: the machine is not reached any more.
        """
        voice = self._voice
        if self._run.complete:
            voice.line(f"{self._launch.run} is complete in {os.path.relpath(self._home)}")
            return self._finish()
        with connect(Login.of(self._found["login"]), _PATIENCE) as shell:
            self._run.find(shell)
            if before := self._run.checkpoints:
                voice.line(f"{len(before)} checkpoints were brought home before")
            parts = self._run.ledger.parts
            follower = self._run.follower() if parts else None
            if not follower or (parts[-1].ended == "failed" and not follower.progress.diverged):
                voice.line("going on after the training failed")
                follower = self._run.go_on(shell, int(self._found["instance"]), _FIRST_STEP)
            while True:
                job = self._follow(shell, follower)
                if self._run.complete:
                    break
                if job.state == "lost":
                    voice.line("the machine was restarted: going on with the training")
                    self._recorder.event("the machine was restarted")
                elif job.state == "failed" and (smaller := self._run.smaller):
                    voice.line(smaller)
                    self._recorder.event(smaller)
                else:
                    break
                follower = self._run.go_on(shell, int(self._found["instance"]), _FIRST_STEP)
            self._look_around(shell, follower)
            if not self._run.complete:
                self._run.keep(closed(self._run.ledger, "failed"), shell)
                lease = parse_status(shell.run("reading the lease", status_script()))
                ending = f"the machine is ending itself, {lease.ended}" if lease and lease.ended else ""
                raise TrainingFailed(ending or failure(shell, job))
            self._run.keep(closed(self._run.ledger, "done"), shell)
            while self._launch.bucket and self._pushes(shell):
                time.sleep(_POLL)
        return self._finish()

    def take_pushed(self) -> None:
        """Bring home what is in the run's bucket, if it has one; for ten minutes it need not be reached.

        Raises:
            BucketFailed: it is not.
        """
        deadline = time.monotonic() + _GIVE_UP
        while True:
            try:
                for path in self._run.take(self._moving):
                    self._brought(path, "from the bucket")
            except BucketFailed as error:
                if time.monotonic() > deadline:
                    raise
                self._voice.line(f"{error}; trying again")
                time.sleep(_RECONNECT)
            else:
                return

    def at_home(self, *, ends: bool) -> None:
        """Tell the machine's lease that the training is at home; it may be gone."""
        with suppress(RemoteError):
            renewal.fetched(Login.of(self._found["login"]), self._launch.run, ends=ends)

    def over(self) -> str:
        """Say that the machine has ended itself at a ceiling; empty where it is lost for another reason."""
        ceiling = self._lease.over(time.monotonic() - self._renewed) if self._lease else ""
        if not ceiling:
            return ""
        return (
            f"budget.{ceiling} is reached, so the machine has ended itself. What was saved until then is in "
            f"{os.path.relpath(self._home)}. To go on, raise it, run `pulumi up --refresh`, and watch again."
        )

    def lost(self, why: str) -> None:
        """Note that the machine is lost."""
        self._recorder.lost(why)

    def failed(self, why: str) -> None:
        """Note that the training failed."""
        self._voice.still()
        self._run.keep(closed(self._run.ledger, "failed"))
        self._recorder.event(why)
        self._recorder.write("failed")

    def _finish(self) -> list[Path]:
        self._run.keep(closed(self._run.ledger, "done"))
        if self._recorder.record.status != "done":
            self._recorder.write("done")
        self._voice.line(f"record: {os.path.relpath(self._home / 'run.html')}")
        return list(self._run.checkpoints)

    def _follow(self, shell: Shell, follower: Follower) -> JobStatus:
        voice = self._voice
        while True:
            job = follower.look(shell)
            for path in self._run.carry(shell, follower, self._moving):
                self._brought(path)
            progress = self._run.overall(follower.progress)
            if job.state != "running":
                voice.still()
                voice.line(f"training ended: {progress}")
                return job
            self.left = 1 - progress.step / progress.total if progress.total else 1.0
            if time.monotonic() - self._looked > _LOOK_AROUND:
                self._look_around(shell, follower)
            machine = self.machine
            if rebid := self._bids.look(machine, self.left, self.spent):
                voice.still()
                voice.line(rebid)
            if rebid or time.monotonic() - self._renewed > _RENEW:
                self._renewed = time.monotonic()
                told = renew_script(rate=self._bids.changed(machine), before=self._recorder.before)
                shell.run("renewing the lease", told)
                self._lease = parse_status(shell.run("reading the lease", status_script()))
            price, spent = self._bids.rate(machine), progress.step * progress.seconds_per_step
            voice.show(
                lambda width: view(progress, self._gauges, price, spent, width),  # noqa: B023 - drawn at once
                line(progress, self._gauges, price, spent),
            )
            time.sleep(_POLL)

    def _moving(self, name: str, done: int, total: int, rate: float) -> None:
        moved = f"{done / 1e6:.1f}/{total / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s"
        self._voice.moving(f"{name} {bar(done, total)} {moved}")

    def _brought(self, path: Path, where: str = "") -> None:
        self._voice.still()
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        digest = self._run.checkpoints[path][:16]
        home = f"{os.path.relpath(path)} {where}".strip()
        self._voice.line(f"brought home {home} ({size}), sha256 {digest}… checked")

    def _look_around(self, shell: Shell, follower: Follower) -> None:
        """Bring samples home, read the gauges and keep the record."""
        self._looked = time.monotonic()
        if self._launch.prompts:
            self._run.samples(shell)
        try:
            self._gauges = parse_gauges(shell.run("reading gauges", gauges_script()))
        except CommandFailed:
            self._gauges = None
        if self._launch.bucket:
            self._pushes(shell)
        self._recorder.keep(follower.progress)

    def _pushes(self, shell: Shell) -> bool:
        """Say what is new of the bucket; return whether the machine still pushes, and is not refused."""
        job = state(shell, job_name(self._launch.run))
        if job.tail != self._pushing:
            self._pushing = job.tail
            self._voice.still()
            self._voice.line(f"bucket: {job.tail}")
        return job.state == "running" and not job.tail.startswith("refused")


def _replaced(stack: auto.Stack, instance: int, voice: Voice) -> bool:
    """Bring the stack up until it has a machine that answers; return whether it is another one.

    A host that is offline may come back; after ten minutes its machine is given up.

    Raises:
        Unreachable: Vast.ai says for ten minutes that the machine runs, but it is not reached.
    """
    deadline, given_up = time.monotonic() + _GIVE_UP, list[str]()
    while True:
        try:
            stack.up(refresh=True, replace=given_up, on_event=listener(voice.line))
            found = known(stack)
            if found["instance"] != instance or _answers(found):
                return bool(found["instance"] != instance)
        except auto.CommandError as error:
            voice.line(f"{reason(error)}; trying again")
        if time.monotonic() > deadline:
            found = known(stack)  # which says so where nothing could be rented
            if found["instance"] != instance:
                return True
            if given_up or found["status"] == _RUNNING:
                raise Unreachable(
                    f"instance {instance} cannot be reached; `pulumi up --replace` rents another, "
                    "`pulumi destroy` ends the billing"
                )
            voice.line(f"instance {instance} has been {found['status']} for too long: renting another")
            given_up = [found["urn"]]
        time.sleep(_RECONNECT)


def _answers(found: dict[str, Any]) -> bool:
    try:
        with connect(Login.of(found["login"]), _PATIENCE):
            return True
    except Unreachable:
        return False
