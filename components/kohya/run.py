"""A run over all its machines: gone on with, and its saves carried home. Knows no Pulumi."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from components.errors import FraguaError, TrainingFailed
from components.kohya.books import LEDGER, Books
from components.kohya.diagnosis import diagnose
from components.kohya.ledger import (
    Ledger,
    Part,
    Point,
    Saved,
    begun,
    brought,
    closed,
    listed,
    next_part,
    observed,
)
from components.kohya.push import push
from components.kohya.resume import described
from components.kohya.training import Follower, first_step, name_of, start
from components.record.checkpoint import CheckpointDamaged, read_metadata
from components.remote import bucket
from components.remote.collect import collect
from components.remote.job import WORKSPACE, start_script
from components.remote.jobs import state
from components.remote.manifest import scan, sha256
from components.remote.transfer import fetch, send, send_file
from components.say import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.kohya.launch import Launch
    from components.kohya.progress import Progress
    from components.remote.shell import Shell

LOG: Final = "training.log"

_STATES_KEPT: Final = 2
_END: Final = 100_000
"""Letters of a log, in which the trainer says why it ended."""


class Run(Books):
    """A run with its books open, which goes on and brings its saves home."""

    def __init__(self, launch: Launch, home: Path, shell: Shell | None = None) -> None:
        """Open the books; see `Books`."""
        self._before: frozenset[str] | None = None
        self._damaged: set[str] = set()
        super().__init__(launch, home, shell)

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
            if not self.complete:
                self.push(shell)
            return self._first_step(shell, limit)
        point = next_part(self.ledger)  # for all variants: that the VRAM is too small is no fault of a state
        begins = {"done": point.done, "state": point.state, "weights": point.weights}
        fitted = self._fitted(machine)
        for number, variant in enumerate(self._launch.variants):
            if number < fitted:
                continue
            self.keep(begun(self.ledger, machine).with_last(**begins, variant=number), shell)
            if point.done:
                say(described(point, self.ledger.epochs))
                self._restore(shell, point)
            script = self._launch.part(len(self.ledger.parts), point, variant)
            self.push(shell)
            start(shell, self.job, script or "")
            try:
                return self._first_step(shell, limit)
            except TrainingFailed:
                if not self.smaller:
                    raise
                say(self.smaller)
        raise AssertionError

    @property
    def smaller(self) -> str:
        """Say what is tried next, where the last part ran out of VRAM and the job allows less; else empty."""
        last = self.ledger.parts[-1]
        left = self._launch.variants[last.variant + 1 :]
        return f"the VRAM is not enough: trying {left[0].why}" if left and self._ran_out(last) else ""

    def _fitted(self, machine: int) -> int:
        """Return the first variant that is not known to be too large for `machine`, or the smallest."""
        parts = self.ledger.parts
        trained = [part.variant for part in parts if part.ended != "failed"]
        failed = [part for part in parts if part.ended == "failed" and part.machine == machine]
        fits = [*trained, *(part.variant + 1 for part in failed if self._ran_out(part))]
        return min(max(fits, default=0), len(self._launch.variants) - 1)

    def _ran_out(self, part: Part) -> bool:
        """Tell whether a part ended because the VRAM was too small, by its log at home."""
        log = self._home / part.folder / LOG
        text = log.read_text(encoding="utf-8", errors="replace")[-_END:] if log.exists() else ""
        return any(each.automatic == "smaller-memory-plan" for each in diagnose(text))

    def carry(
        self, shell: Shell, follower: Follower, tell: Callable[[str, int, int, float], None]
    ) -> list[Path]:
        """Bring home every checkpoint and state that is whole and new; return the checkpoints.

        Raises:
            TransferFailed: one did not arrive whole; what was at home before is untouched.
            FraguaError: it cannot be written here.
        """
        ledger = observed(self.ledger, follower.progress)

        def draw(part: Part, saved: Saved) -> dict[str, str]:
            source = f"{self._launch.folder}/{part.folder}/{saved.name}"
            home, moved = self._home / part.folder / saved.name, partial(tell, saved.name)
            if saved.kind == "checkpoint":
                return {saved.name: fetch(shell, source, home, moved)}
            files = collect(shell, source, home, moved)
            return {f"{saved.name}/{path}": digest for path, digest in files.items()}

        there = self._there(shell, ledger, follower.progress)
        return self._bring(ledger, there, draw, "on the machine", shell)

    def take(self, tell: Callable[[str, int, int, float], None]) -> list[Path]:
        """Bring home likewise what the run's machines pushed to its bucket, if it has one; they may be gone.

        Raises:
            BucketFailed: the bucket cannot be read.
            FraguaError: as `carry`; or this computer's environment does not tell how to log in.
        """
        if not self._launch.bucket or self.complete:
            return []
        source = f"{self._launch.bucket}/{self._launch.run}"
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            which = [f"/{LEDGER}", f"/part-*/{LOG}", "/part-*/*.sha256"]
            bucket.take(source, folder, which, partial(silent, ""))
            if (folder / LEDGER).exists():
                self.adopt((folder / LEDGER).read_text(encoding="utf-8"), f"{source}/{LEDGER}")
            if not self.ledger.parts:
                return []
            for part in self.ledger.parts:
                _keep_longer(folder / part.folder / LOG, self._home / part.folder / LOG)
            pushed = bucket.lists(folder)

        def draw(part: Part, saved: Saved) -> dict[str, str]:
            hashes, home = pushed[f"{part.folder}/{saved.name}"], self._home / part.folder
            which = [f"/{saved.name}", f"/{saved.name}/**"]
            bucket.take(f"{source}/{part.folder}", home, which, partial(tell, saved.name))
            for path, digest in hashes.items():
                if not (home / path).is_file() or sha256(home / path) != digest:
                    (home / path).unlink(missing_ok=True)
                    raise CheckpointDamaged(f"{path} is not what was pushed")
            return hashes

        ledger = listed(observed(self.ledger, self.follower().progress), pushed)
        new = self._bring(ledger, set(pushed), draw, "in the bucket")
        bucket.take(source, self._home, ["/part-*/sample/**"], partial(tell, "samples"))
        return new

    def push(self, shell: Shell) -> None:
        """Have the machine push what it saves to the end of the last part, if the run has a bucket."""
        if self._launch.bucket:
            job = push(self.ledger.run, len(self.ledger.parts), self._launch.bucket)
            shell.run("starting what pushes to the bucket", start_script(job))

    def _bring(
        self,
        ledger: Ledger,
        there: set[str],
        draw: Callable[[Part, Saved], dict[str, str]],
        where: str,
        shell: Shell | None = None,
    ) -> list[Path]:
        """Bring home what is to come of what is `there`, each by `draw`; return the new checkpoints."""
        new = []
        while wanted := _wanted(ledger, there - self._damaged):
            part, saved = wanted[0]
            path = f"{part.folder}/{saved.name}"
            there = there - {path}  # where the trainer removes it just now, none of its files comes
            try:
                hashes = draw(part, saved)
                _check(self._home / part.folder, hashes)
            except CheckpointDamaged as error:  # a crash of the host can lose what a log calls saved
                say(f"{saved.name} is damaged {where}, and does not count: {error}")
                self._damaged.add(path)
                continue
            if saved.kind == "checkpoint":
                new.append(self._show(self._home / path, self._shown(saved)))
            self.keep(brought(ledger, part.index, saved.name, hashes), shell)
            self._forget_states()
            ledger = self.ledger
        self.keep(ledger, shell)
        return new

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
            self.carry(shell, follower, silent)
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
            source = self._home / point.weights
            send_file(shell, source, sha256(source), f"{self._launch.folder}/{point.weights}", tell)

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


def _keep_longer(found: Path, log: Path) -> None:
    """Put a log that was found in place of the one at home, where it goes on after that."""
    if found.exists() and (not log.exists() or found.stat().st_size > log.stat().st_size):
        log.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, log)


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


def silent(_name: str, _done: int, _total: int, _rate: float) -> None:
    """Tell nothing."""
