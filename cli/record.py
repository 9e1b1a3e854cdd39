"""The record of a run, kept current while it is followed: `run.json` and `run.html` at home."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from components.cost.experience import Experience
from components.cost.speeds import pace, together
from components.cost.terms import Terms
from components.errors import FraguaError
from components.kohya.install import SD_SCRIPTS_COMMIT
from components.kohya.ledger import steps_done
from components.kohya.options import LORA
from components.kohya.progress import Progress
from components.kohya.run import LOG
from components.record import checkpoint, store
from components.record.calibration import work_of
from components.record.experience import read_experience
from components.record.model import (
    Checkpoint,
    Cost,
    Event,
    Hashes,
    LossPoint,
    Machine,
    Part,
    Record,
    Sample,
    Versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from components.kohya import ledger as books
    from components.kohya.launch import Launch
    from components.kohya.run import Run
    from components.record.model import Status

_EVERY: Final = 15.0
_SAMPLE: Final = re.compile(r"_e(\d{6})_(\d\d)_\d+_\d+\.png$")


class Recorder:
    """Keeps the record of one run.

    Attributes:
        record: as it was last written.
    """

    def __init__(self, root: Path, home: Path, launch: Launch, run: Run) -> None:
        """Go on with the record in `home`, or begin it.

        Raises:
            RecordUnusable: the record is damaged.
        """
        self._home, self._launch, self._run, self._written = home, launch, run, 0.0
        self.record = store.read(home) or Record(
            run=launch.run,
            job=run.ledger.name,
            kind="lora" if launch.script == LORA else "full",
            status="running",
            started=_now(),
            versions=Versions(fragua=_commit(root), sd_scripts=SD_SCRIPTS_COMMIT),
            settings=launch.settings,
            derived=launch.derived,
            cost=Cost(spent=0),
            hashes=Hashes(dataset=launch.dataset, base_model=launch.base_model, job=launch.run),
        )

    def machine(self, found: dict[str, Any]) -> None:
        """Note the machine that the stack has now."""
        known = self.record.machines
        if known and known[-1].instance == found["instance"]:
            return
        if known and not known[-1].released:  # it went while nobody followed the run
            seen = datetime.fromtimestamp((self._home / store.JSON).stat().st_mtime, UTC)
            known = (*known[:-1], known[-1].model_copy(update={"released": seen}))
        count, _, gpu = found["gpu"].partition("x ")
        machine = Machine(
            instance=found["instance"],
            gpu=gpu,
            gpus=int(count),
            price=found["pricePerHour"],
            interruptible=found["interruptible"],
            market=found["url"],
            rented=_now(),
        )
        self.record = self.record.model_copy(update={"machines": (*known, machine)})

    @property
    def before(self) -> float:
        """$ for all the time that the run had other machines than this one."""
        return _cost(self.record.machines[:-1])

    @property
    def spent(self) -> float:
        """$ likewise until now, this machine's too."""
        return _cost(self.record.machines)

    def event(self, text: str) -> None:
        """Note that something happened."""
        events = (*self.record.events, Event(time=_now(), text=text))
        self.record = self.record.model_copy(update={"events": events})

    def lost(self, why: str) -> None:
        """Note that the machine is lost."""
        *before, last = self.record.machines
        gone = last.model_copy(update={"released": _now(), "why": why})
        self.record = self.record.model_copy(update={"machines": (*before, gone)})
        self.event(f"instance {last.instance} lost: {why}")
        self.write("preempted")

    def keep(self, progress: Progress) -> None:
        """Write the record now and then; `progress` is the last part's."""
        if time.monotonic() - self._written > _EVERY:
            self.write("running", progress)

    def write(self, status: Status, progress: Progress | None = None) -> None:
        """Write the record with what the ledger and the logs at home tell."""
        self._written = time.monotonic()
        parts = list(self._parts(progress))
        price = {machine.instance: machine.price for machine in self.record.machines}
        hours = [(part.machine, read.step * read.seconds_per_step / 3600) for part, read in parts]
        spent = sum(price.get(machine, 0) * each for machine, each in hours)
        last = parts[-1][1] if parts else Progress()
        left = steps_done(self._run.ledger).left * last.seconds_per_step
        ahead = left / 3600 * (self.record.machines[-1].price if self.record.machines else 0)
        self.record = self.record.model_copy(
            update={
                "status": status,
                "ended": None if status in ("running", "preempted") else _now(),
                "parts": tuple(self._part(part, read) for part, read in parts),
                "loss": tuple(
                    LossPoint(step=self._first(part) + step, loss=loss)
                    for part, read in parts
                    for step, loss in read.points
                ),
                "cost": self._foreseen(self.record.cost).model_copy(
                    update={"spent": round(spent, 4), "predicted": round(spent + ahead, 4)}
                ),
                "checkpoints": tuple(self._checkpoints()),
                "samples": tuple(self._samples()),
            }
        )
        store.write(self.record, self._home)

    def _foreseen(self, cost: Cost) -> Cost:
        """Return the cost with what the whole training should take, once its steps are known."""
        steps = self._launch.epochs * self._run.ledger.steps_per_epoch
        if cost.foreseen is not None or not steps or not self.record.machines:
            return cost
        machine = self.record.machines[0]
        job = work_of(self._launch.settings, self.record.kind, steps)
        terms = Terms(gpu=machine.gpu, gpus=machine.gpus, price=machine.price)
        own = Experience()
        with suppress(FraguaError):  # that it is damaged is no reason to lose a run
            own = read_experience(machine.market or "")
        speed = pace(terms, job, own)
        hours = job.images * speed.seconds / together(job) / 3600
        return cost.model_copy(
            update={"foreseen": round(hours * machine.price, 4), "foreseen_hours": round(hours, 4)}
        )

    def _parts(self, progress: Progress | None) -> Iterator[tuple[books.Part, Progress]]:
        parts = self._run.ledger.parts
        for part in parts:
            if progress and part is parts[-1]:
                yield part, progress
                continue
            read, log = Progress(), self._home / part.folder / LOG
            if log.exists():
                read.read(log.read_text(encoding="utf-8", errors="replace"))
            yield part, read

    def _first(self, part: books.Part) -> int:
        return part.done * self._run.ledger.steps_per_epoch

    def _part(self, part: books.Part, read: Progress) -> Part:
        first = self._first(part)
        per_epoch = max(1, self._run.ledger.steps_per_epoch)
        return Part(
            instance=part.machine,
            first_epoch=part.done + 1,
            last_epoch=part.done + max(1, -(-read.step // per_epoch)),
            first_step=first + 1,
            last_step=first + max(1, read.step),
            seconds_per_step=read.seconds_per_step or None,
            resumed_from=part.state or part.weights or None,
        )

    def _checkpoints(self) -> Iterator[Checkpoint]:
        lora = self._launch.settings.get("lora")
        known = {each.file: each for each in self.record.checkpoints}
        for part in self._run.ledger.parts:
            for saved in part.saved:
                if saved.kind != "checkpoint" or not saved.files:
                    continue
                path = self._home / part.folder / saved.name
                name = path.relative_to(self._home).as_posix()
                if name in known:
                    yield known[name]
                    continue
                metadata = checkpoint.read_metadata(path)
                expected = checkpoint.FULL
                if lora:
                    expected = checkpoint.lora(
                        dim=lora["dim"], alpha=lora["alpha"], epochs=self._launch.epochs, epoch=saved.epoch
                    )
                yield Checkpoint(
                    file=name,
                    epoch=saved.epoch,
                    sha256=saved.files[saved.name],
                    size=path.stat().st_size,
                    metadata=metadata,
                    wrong=tuple(checkpoint.check(metadata, expected)),
                )

    def _samples(self) -> Iterator[Sample]:
        prompts = [each["prompt"] for each in self._launch.settings.get("samples", {}).get("prompts", [])]
        for part in self._run.ledger.parts:
            offset = 0 if self._launch.script == LORA else part.done
            for path in sorted((self._home / part.folder / "sample").glob("*.png")):
                if match := _SAMPLE.search(path.name):
                    index = int(match[2])
                    yield Sample(
                        file=path.relative_to(self._home).as_posix(),
                        prompt=prompts[index] if index < len(prompts) else "",
                        epoch=int(match[1]) + offset,
                    )


def _cost(machines: tuple[Machine, ...]) -> float:
    hours = [((each.released or _now()) - each.rented).total_seconds() / 3600 for each in machines]
    return sum(each.price * lasted for each, lasted in zip(machines, hours, strict=True))


def _now() -> datetime:
    return datetime.now(UTC)


def _commit(root: Path) -> str | None:
    """Return fragua's commit, if it is a checkout."""
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
