"""Pushes a run's saves from its machine to a bucket. A program that runs there, with Python alone.

    python3 -m components.kohya.pushing RUN PART TARGET

It is started beside the trainer of part PART, and pushes what the run's parts saved on this machine, each
save once it is whole, to `TARGET/RUN/part-N/NAME`. `part-N/NAME.sha256` comes after the rest of a save, with
the sha256 of each of its files by their paths in the part's folder: without that list a save is half. It ends
when the trainer has and everything is pushed: with 0 where the training succeeded, else with 2.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path, PurePosixPath

from components.kohya.progress import Progress

_POLL = 5.0
_PAUSE = 600.0
"""Seconds, the longest between two tries where something is refused; the first are sooner."""
_JOBS = Path(".fragua/jobs")
_STATES_KEPT = 2
_RCLONE = ("bash", ".fragua/pushing/rclone.sh")
_NOT_THERE = (3, 4)
"""rclone's exit codes for a folder or file that does not exist."""
_KIND = re.compile(r"(\.safetensors|\.ckpt|\.pt|-state)$")


class Refused(Exception):
    """rclone failed; the message is its own."""


class Log:
    """A trainer's log, read as it grows."""

    def __init__(self, path: Path) -> None:
        """Open it."""
        self.path, self.progress = path, Progress()
        self._file = path.open(encoding="utf-8", errors="replace", newline="")

    def saves(self) -> list[str]:
        """Return the names of the saves that are whole by now, in the order of their saving."""
        self.progress.read(self._file.read())
        order = [_KIND.sub("", path) for path in self.progress.checkpoints]
        whole = sorted(self.progress.whole, key=lambda path: order.index(_KIND.sub("", path)))
        return [PurePosixPath(path).name for path in whole]


class Pusher:
    """Pushes the saves of `run` to `target`."""

    def __init__(self, run: str, target: str) -> None:
        """Push nothing yet."""
        self._run, self._folder, self._target = run, Path("runs", run), f"{target}/{run}"
        self._held = Path(".fragua/held", run)
        self._logs: dict[str, Log] = {}
        self._pushed: set[tuple[str, str]] = set()
        self._ledger = b""

    def push(self) -> None:
        """Push what is whole and new: all checkpoints, and the newest state.

        Raises:
            Refused: something was not taken; the rest waits.
        """
        for job in _JOBS.glob(f"train-{self._run}-*"):
            index = job.name.rpartition("-")[2]
            if index.isdigit() and index not in self._logs and (job / "log").exists():
                self._logs[index] = Log(job / "log")
        found = [(part, name) for part in sorted(self._logs, key=int) for name in self._logs[part].saves()]
        states = [each for each in found if each[1].endswith("-state")]
        new = [each for each in found if each not in self._pushed and each not in states[:-1]]
        for part, name in new:
            hold(self._folder / f"part-{part}" / name, self._held / f"part-{part}" / name)
        for part, name in new:
            self._save(part, name)

    def let_go(self) -> None:
        """Hold nothing of what was not pushed."""
        let_go(self._held)

    def keep(self, part: str) -> None:
        """Push what goes with the saves of a part: ledger, log and samples.

        Raises:
            Refused: as `push`.
        """
        if (ledger := (self._folder / "ledger.json").read_bytes()) != self._ledger:
            rclone("rcat", f"{self._target}/ledger.json", put=ledger)
            self._ledger = ledger
        if part in self._logs:
            rclone("rcat", f"{self._target}/part-{part}/training.log", put=self._logs[part].path.read_bytes())
        if (samples := self._folder / f"part-{part}" / "sample").is_dir():
            rclone("copy", str(samples), f"{self._target}/part-{part}/sample")

    def finished(self, part: str) -> bool:
        """Return whether the trainer of a part said that it is done."""
        return part in self._logs and self._logs[part].progress.finished

    def _save(self, part: str, name: str) -> None:
        folder, there = self._held / f"part-{part}", f"{self._target}/part-{part}/{name}"
        source = folder / name
        files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        lines = (f"{digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
        listed = "".join(lines).encode()
        before = rclone("cat", f"{there}.sha256", get=True)
        if listed and listed != before:
            if before:
                rclone("deletefile", f"{there}.sha256")
            rclone("copyto", str(source), there)
            self.keep(part)
            rclone("rcat", f"{there}.sha256", put=listed)
        self._pushed.add((part, name))
        let_go(source)
        say(f"pushed part-{part}/{name}" if listed else f"part-{part}/{name} is not there any more")
        if name.endswith("-state"):
            self._forget_states()

    def _forget_states(self) -> None:
        """Keep the two newest states: a state is as large as the training itself."""
        words = ("lsf", "-R", "--files-only", "--include", "/part-*/*-state.sha256", self._target)
        lists = rclone(*words, get=True).decode().split()
        for path in sorted(lists, key=lambda path: (int(path.partition("/")[0][5:]), path))[:-_STATES_KEPT]:
            rclone("deletefile", f"{self._target}/{path}")
            rclone("purge", f"{self._target}/{path[: -len('.sha256')]}")


def rclone(*words: str, put: bytes = b"", get: bool = False) -> bytes:
    """Run rclone with `put` as its input and return its output; what it is to `get` may be missing.

    Raises:
        Refused: it failed.
    """
    command = [*_RCLONE, *words, "--config", "", "--retries", "1"]  # the job itself tries again
    done = subprocess.run(command, input=put, capture_output=True, check=False)
    if done.returncode and not (get and done.returncode in _NOT_THERE):
        lines = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if "Failed to" in line] or lines or [f"exit code {done.returncode}"]
        raise Refused(re.split("Failed to |last error was: |api error ", told[-1])[-1])
    return done.stdout


def hold(save: Path, copy: Path) -> None:
    """Keep what a save holds though the trainer removes it meanwhile: by links, which take no room.

    Raises:
        OSError: it is there, and cannot be kept.
    """
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        if save.is_dir():
            shutil.copytree(save, copy, copy_function=os.link, dirs_exist_ok=True)
        else:
            os.link(save, copy)
    except OSError:
        let_go(copy)
        if save.exists():
            raise


def let_go(copy: Path) -> None:
    """Forget what is held there."""
    if copy.is_dir():
        shutil.rmtree(copy)
    copy.unlink(missing_ok=True)


def lost(job: Path) -> bool:
    """Return whether a job was killed, as `components.remote.job` tells it: its processes hold its lock."""
    if not (job / "digest").exists():
        return False
    with (job / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return not (job / "exit").exists()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    found = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def say(text: str) -> None:
    """Write a line into this job's log."""
    print(text, flush=True)  # noqa: T201 - whoever follows the job reads it


def main(run: str, part: str, target: str) -> int:
    """Push until the trainer of `part` has ended and everything is in the bucket; return the exit code."""
    pusher, begun, job = Pusher(run, target), False, _JOBS / f"train-{run}-{part}"
    pause = _POLL
    pusher.let_go()
    while True:
        exit_file = job / "exit"
        code = exit_file.read_text().strip() if exit_file.exists() else "lost" if lost(job) else ""
        try:
            if not begun:
                pusher.keep(part)
                begun = True
                say(f"pushing to {target}/{run}")
            pusher.push()
            if code:
                pusher.keep(part)
                say(f"everything is in {target}/{run}")
                return 0 if code == "0" and pusher.finished(part) else 2
            pause = _POLL
            time.sleep(_POLL)
        except (Refused, OSError) as error:
            pusher.let_go()  # a bucket that refuses for long must not fill the disk
            say(f"refused, trying again: {error}")
            time.sleep(pause)
            pause = min(2 * pause, _PAUSE)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
