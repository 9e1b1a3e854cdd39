"""A run over all its machines: begun, gone on with, and its saves carried home. Knows no Pulumi.

The ledger lies at home, and a copy on the machine, so that another computer can follow the run.
"""

from __future__ import annotations

import shlex
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from components.errors import FraguaError, RemoteError, TrainingFailed
from components.kohya.diagnosis import diagnose
from components.kohya.launch import Launch
from components.kohya.ledger import (
    Ledger,
    Part,
    Point,
    Saved,
    begun,
    brought,
    closed,
    epoch_of,
    next_part,
    observed,
    read,
    write,
)
from components.kohya.options import LORA
from components.kohya.resume import described
from components.kohya.training import Follower, first_step, name_of, prepare, start, state, stop, tail
from components.record.checkpoint import CheckpointDamaged, read_metadata
from components.remote.collect import collect
from components.remote.job import WORKSPACE, Job
from components.remote.manifest import scan, sha256
from components.remote.shell import PATIENCE, Login, connect
from components.remote.transfer import fetch, send, send_file
from components.say import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.kohya.progress import Progress
    from components.remote.shell import Shell

LEDGER: Final = "ledger.json"
LOG: Final = "training.log"

_KEEP_EVERY: Final = 5.0
_STATES_KEPT: Final = 2


def begin(props: dict[str, Any]) -> int:
    """Wait for the preparations, start or go on with the run of a resource, and wait for its first step.

    Returns:
        The steps of the whole run.
    """
    launch = Launch.model_validate_json(props["launch"])
    with connect(Login.of(props["login"]), PATIENCE) as shell:
        jobs = [Job(name, script) for name, script in props["preparations"].items()]
        prepare(shell, jobs, props["limit"], say)
        run = Run(launch, Path(props["home"]), shell)
        if run.complete:
            say(f"{launch.run} is complete in {props['home']}; to train it again, move that folder away")
        else:
            follower = run.go_on(shell, int(props["machine"]), props["limit"])
            progress = run.overall(follower.progress)
            dollars = progress.seconds_left / 3600 * props["price"]
            rate = f"{progress.seconds_per_step:.2f} s a step, about ${dollars:.2f} to the end"
            say(f"training {launch.run}: {progress}, {rate}")
        return run.ledger.epochs * run.ledger.steps_per_epoch


def end(props: dict[str, Any]) -> None:
    """Stop the training of a resource where its machine can be reached; where not, nothing is left."""
    # stacks of 1/6 have one job of another name
    jobs = name_of(props["run"], "*") if "launch" in props else "training"
    with suppress(RemoteError), connect(Login.of(props["login"])) as shell:
        stop(shell, jobs)


class Run:
    """One run, with its ledger open.

    Attributes:
        ledger: as it was last kept.
    """

    def __init__(self, launch: Launch, home: Path, shell: Shell | None = None) -> None:
        """Open the ledger at `home`; where there is none, the copy on the machine, or a new one.

        Raises:
            FraguaError: the ledger is damaged.
        """
        self._launch, self._home, self._kept = launch, home, 0.0
        self._before: frozenset[str] | None = None
        self._damaged: set[str] = set()
        self.ledger = read(home / LEDGER) or Ledger(
            run=launch.run,
            name=launch.variants[0].options["output_name"],
            script=launch.script,
            epochs=launch.epochs,
            states=bool(launch.variants[0].options.get("save_state")),
        )
        if shell:
            self.find(shell)

    def find(self, shell: Shell) -> None:
        """Where the machine knows of more parts than this computer, take the ledger that lies there.

        It is another computer's: what is not here as well does not count as being at home. The host of the
        machine can write it, so that only the run's own names are taken from it.

        Raises:
            FraguaError: it is damaged.
        """
        found = _copy(shell, f"{self._launch.folder}/{LEDGER}")
        if not found or len(found.parts) <= len(self.ledger.parts):
            return
        trained = {"parts": found.parts, "steps_per_epoch": found.steps_per_epoch}
        ledger = self.ledger.model_copy(update=trained)
        for index, part in enumerate(ledger.parts, 1):
            folder = self._home / part.folder
            for saved in part.saved:
                if part.index != index or epoch_of(ledger, part, saved.name) != saved.epoch:
                    raise _damaged(
                        f"{self._launch.folder}/{LEDGER} on the machine", f"{part.folder}: {saved.name}"
                    )
                if not all(_is(folder / path, digest) for path, digest in saved.files.items()):
                    ledger = brought(ledger, part.index, saved.name, {})
        self.keep(ledger)

    @property
    def complete(self) -> bool:
        """Whether the last checkpoint is at home, which comes only when the trainer said that it is saved."""
        return next_part(self.ledger).done >= self.ledger.epochs

    @property
    def checkpoints(self) -> list[Path]:
        """Every checkpoint at home, in the order of epochs."""
        home = {
            saved.epoch: self._home / self._shown(saved)
            for part in self.ledger.parts
            for saved in part.saved
            if saved.kind == "checkpoint" and saved.files
        }
        return [home[epoch] for epoch in sorted(home)]

    @property
    def job(self) -> str:
        """The name of the job on the machine that trains the last part."""
        return name_of(self.ledger.run, len(self.ledger.parts))

    def follower(self) -> Follower:
        """Return what follows the last part; its log is kept at home."""
        return Follower(self.job, self._home / self.ledger.parts[-1].folder / LOG)

    def go_on(self, shell: Shell, machine: int, limit: float) -> Follower:
        """Train the next part on `machine`, or take up the one that runs there; wait for its first step.

        Raises:
            TrainingFailed: it ended before its first step.
            Unreachable: no step after `limit` seconds.
        """
        self._before = None
        if self.ledger.parts and (self._taken_up(shell, machine) or self.complete):
            return self._first_step(shell, limit)
        point = next_part(self.ledger)  # for all variants: that the VRAM is too small is no fault of a state
        begins = {"done": point.done, "state": point.state, "weights": point.weights}
        for number, variant in enumerate(self._launch.variants):
            self.keep(begun(self.ledger, machine).with_last(**begins), shell)
            if point.done:
                say(described(point, self.ledger.epochs))
                self._restore(shell, point)
            script = self._launch.part(len(self.ledger.parts), point, variant)
            start(shell, self.job, script or "")
            try:
                return self._first_step(shell, limit)
            except TrainingFailed:
                log = tail(shell, state(shell, self.job))
                smaller = any(each.automatic == "smaller-memory-plan" for each in diagnose(log))
                if not smaller or number + 1 == len(self._launch.variants):
                    raise
                say(f"the VRAM is not enough: trying {self._launch.variants[number + 1].why}")
        raise AssertionError

    def carry(
        self, shell: Shell, follower: Follower, tell: Callable[[str, int, int, float], None]
    ) -> list[Path]:
        """Bring home every checkpoint and state that is whole and new; return the checkpoints.

        Raises:
            TransferFailed: one did not arrive whole; what was at home before is untouched.
            FraguaError: it cannot be written here.
        """
        ledger = observed(self.ledger, follower.progress)
        new = []
        for part, saved in _wanted(ledger, self._there(shell, ledger, follower.progress) - self._damaged):
            source, home = (
                f"{self._launch.folder}/{part.folder}/{saved.name}",
                self._home / part.folder / saved.name,
            )

            def moved(done: int, total: int, rate: float, name: str = saved.name) -> None:
                tell(name, done, total, rate)

            if saved.kind == "checkpoint":
                hashes = {saved.name: fetch(shell, source, home, moved)}
            else:
                files = collect(shell, source, home, moved)
                hashes = {f"{saved.name}/{path}": digest for path, digest in files.items()}
            try:
                _check(self._home / part.folder, hashes)
            except CheckpointDamaged as error:  # a crash of the host can lose what a log calls saved
                say(f"{saved.name} is damaged on the machine, and does not count: {error}")
                self._damaged.add(f"{part.folder}/{saved.name}")
                continue
            if saved.kind == "checkpoint":
                new.append(self._show(home, self._shown(saved)))
            ledger = brought(ledger, part.index, saved.name, hashes)
            self.keep(ledger, shell)
            self._forget_states()
            ledger = self.ledger
        self.keep(ledger, shell)
        return new

    def overall(self, progress: Progress) -> Progress:
        """Return the last part's progress as that of the whole run."""
        per_epoch, done = self.ledger.steps_per_epoch, self.ledger.parts[-1].done
        if not per_epoch:
            return progress
        return replace(
            progress,
            step=done * per_epoch + progress.step,
            total=self.ledger.epochs * per_epoch,
            epoch=progress.epoch + (0 if self.ledger.script == LORA else done),
            epochs=self.ledger.epochs,
            points=tuple((done * per_epoch + step, loss) for step, loss in progress.points),
        )

    def keep(self, ledger: Ledger, shell: Shell | None = None) -> None:
        """Write the ledger at home and, with a `shell`, on the machine; mere steps only now and then."""
        now, before = time.monotonic(), self.ledger
        if _without_steps(ledger) == _without_steps(before) and now - self._kept < _KEEP_EVERY:
            self.ledger = ledger
            return
        self.ledger, self._kept = ledger, now
        try:
            write(self._home / LEDGER, ledger)
        except OSError as error:
            raise FraguaError(f"{self._home / LEDGER}: {error.strerror}") from None
        if shell:
            text = ledger.model_dump_json()
            shell.run(
                "keeping the run's ledger on the machine",
                f'cd "{WORKSPACE}" && mkdir -p {self._launch.folder} && cd {self._launch.folder} && '
                f"cat > {LEDGER}.new && [ $(stat -c %s {LEDGER}.new) = {len(text.encode())} ] && "
                f"mv {LEDGER}.new {LEDGER}",
                stdin=text,
            )

    def _first_step(self, shell: Shell, limit: float) -> Follower:
        follower = self.follower()
        try:
            first_step(shell, follower, limit, say)
        except TrainingFailed:
            self.keep(closed(self.ledger, "failed"), shell)
            raise
        self.keep(observed(self.ledger, follower.progress), shell)
        return follower

    def _taken_up(self, shell: Shell, machine: int) -> bool:
        """Tell whether the last part runs on `machine` or is done there; where not, close it."""
        last = self.ledger.parts[-1]
        if last.ended:
            return False
        if last.machine != machine:
            self.keep(closed(self.ledger, "preempted"), shell)
            return False
        job = state(shell, self.job)
        if job.state in ("running", "done"):
            return True
        if job.state != "absent":
            follower = self.follower()
            follower.look(shell)
            self.carry(shell, follower, _silent)
        self.keep(closed(self.ledger, "failed" if job.state == "failed" else "preempted"), shell)
        return False

    def samples(self, shell: Shell) -> None:
        """Bring home the images that the last part has drawn."""
        folder = f"{self.ledger.parts[-1].folder}/sample"
        collect(shell, f"{self._launch.folder}/{folder}", self._home / folder, lambda *_: None)

    def _there(self, shell: Shell, ledger: Ledger, progress: Progress) -> set[str]:
        """Return what lies whole on the machine of the last part, as paths in the run's folder."""
        last = ledger.parts[-1]
        if self._before is None:
            folders = [part.folder for part in ledger.parts[:-1] if part.machine == last.machine]
            listing = folders and shell.run(
                "looking for what earlier parts saved",
                f'cd "{WORKSPACE}"/{self._launch.folder} && '
                f"find {' '.join(folders)} -mindepth 1 -maxdepth 1 2>/dev/null; true",
            )
            self._before = frozenset(listing.split("\n") if listing else ())
        return {f"{last.folder}/{PurePosixPath(path).name}" for path in progress.whole} | self._before

    def _restore(self, shell: Shell, point: Point) -> None:
        """Put on the machine what the next part begins with; what is there already is not sent."""

        def tell(done: int, total: int, rate: float) -> None:
            mb = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
            say(f"{point.state or point.weights}: sent {mb}, {rate / 1e6:.1f} MB/s")

        if point.state:
            source = self._home / point.state
            send(shell, source, scan(source), f"{self._launch.folder}/{point.state}", tell)
        else:
            send_file(shell, self._home / point.weights, f"{self._launch.folder}/{point.weights}", tell)

    def _forget_states(self) -> None:
        """Keep the two newest states at home: a state is as large as the training itself."""
        states = [
            (saved.epoch, part.index, saved.name)
            for part in self.ledger.parts
            for saved in part.saved
            if saved.kind == "state" and saved.files
        ]
        for _, index, name in sorted(states)[:-_STATES_KEPT]:
            self.keep(brought(self.ledger, index, name, {}))
            shutil.rmtree(self._home / f"part-{index}" / name, ignore_errors=True)

    def _shown(self, saved: Saved) -> str:
        """Return the name of a checkpoint beside the parts, by the run's own epoch."""
        number = "" if saved.epoch == self.ledger.epochs else f"-{saved.epoch:06}"
        return f"{self.ledger.name}{number}.safetensors"

    def _show(self, file: Path, name: str) -> Path:
        """Give a checkpoint that name beside the parts."""
        shown, new = self._home / name, self._home / f".{name}.new"
        try:
            new.unlink(missing_ok=True)
            try:
                new.hardlink_to(file)
            except OSError:  # not every file system has links
                shutil.copy2(file, new)
            new.replace(shown)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise FraguaError(f"{shown}: {error.strerror}") from None
        return shown


def _wanted(ledger: Ledger, there: set[str]) -> list[tuple[Part, Saved]]:
    """Return what is to come home of what is `there`; the newest state will do.

    It is in the order of epochs, so that a later one is never at home alone.
    """
    found = [
        (part, saved)
        for part in ledger.parts
        for saved in part.saved
        if saved.files or f"{part.folder}/{saved.name}" in there
    ]
    found.sort(key=lambda each: (each[1].epoch, each[1].kind, each[0].index))
    newest = next((each for each in reversed(found) if each[1].kind == "state"), None)
    return [each for each in found if not each[1].files and (each[1].kind == "checkpoint" or each == newest)]


def _check(folder: Path, hashes: dict[str, str]) -> None:
    """Look at the weights among files that came home; those of a damaged one go away again.

    Raises:
        CheckpointDamaged: a file is no whole .safetensors file.
    """
    try:
        for path in hashes:
            if path.endswith(".safetensors"):
                read_metadata(folder / path)
    except CheckpointDamaged:
        for path in hashes:
            (folder / path).unlink()
        raise


def _without_steps(ledger: Ledger) -> list[Part]:
    return [part.model_copy(update={"steps": 0}) for part in ledger.parts]


def _silent(_name: str, _done: int, _total: int, _rate: float) -> None:
    """Tell nothing."""


def _copy(shell: Shell, path: str) -> Ledger | None:
    text = shell.run("reading the run's ledger", f'cat "{WORKSPACE}/"{shlex.quote(path)} 2>/dev/null || true')
    try:
        return Ledger.model_validate_json(text) if text else None
    except ValidationError as error:
        raise _damaged(f"{path} on the machine", error.errors()[0]["msg"]) from None


def _damaged(where: str, what: str) -> FraguaError:
    return FraguaError(
        f"{where}: this ledger of a run is damaged, or another version's ({what}). Copy the one of the "
        "computer that began the run to this one, or remove it there to train from the first epoch."
    )


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest
