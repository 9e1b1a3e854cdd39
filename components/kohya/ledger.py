"""What a run has trained and saved so far, part by part, so that it survives the loss of its machine.

sd-scripts forgets on every resume: a full fine-tune counts its epochs from 1 again, a LoRA its steps from 0.
So each launch is a part with a folder of its own, and the ledger knows how its numbers relate to the run's.
Only what lies whole at home counts for going on.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

from components.errors import FraguaError
from components.kohya.options import LORA, Script

if TYPE_CHECKING:
    from collections.abc import Iterable

    from components.kohya.progress import Progress

Ended = Literal["", "done", "preempted", "failed"]

_SUFFIX: Final = re.compile(r"(\.safetensors|\.ckpt|\.pt|-state)$")
_NUMBER: Final = re.compile(r"-(\d{6,})")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Saved(_Record):
    """A checkpoint or a state that was whole on its machine.

    Attributes:
        epoch: of the whole run, after which it was saved.
        name: of the file or folder, in its part's folder.
        kind: which of the two.
        files: sha256 of each file by its path in the part's folder; empty until it is whole at home.
    """

    epoch: PositiveInt
    name: str
    kind: Literal["checkpoint", "state"]
    files: dict[str, str] = {}


class Part(_Record):
    """One launch of the trainer.

    Attributes:
        index: counts the parts of a run from 1.
        done: epochs of the run that were done before it.
        machine: id of the machine that it ran on.
        state: what it began with, as `Point` has it.
        weights: the same.
        variant: which of the launch's, from 0.
        steps: that it trained, as far as was seen.
        saved: what it saved, in order.
        ended: how; empty while it runs.
    """

    index: PositiveInt
    done: NonNegativeInt
    machine: int
    state: str = ""
    weights: str = ""
    variant: NonNegativeInt = 0
    steps: NonNegativeInt = 0
    saved: tuple[Saved, ...] = ()
    ended: Ended = ""

    @property
    def folder(self) -> str:
        """Its folder in the run's, at home and on the machine alike."""
        return f"part-{self.index}"


class Ledger(_Record):
    """A run of so many epochs.

    Attributes:
        run: identifies it.
        name: sd-scripts' output name.
        script: that trains it.
        epochs: planned in all.
        states: whether states are saved; then weights alone, which hold neither optimizer nor schedule, are
            never gone on with.
        steps_per_epoch: 0 until a part told.
        parts: in order.
    """

    run: str
    name: str
    script: Script
    epochs: PositiveInt
    states: bool = True
    steps_per_epoch: NonNegativeInt = 0
    parts: tuple[Part, ...] = ()

    def with_last(self, **changes: object) -> Ledger:
        """Return it with changes to its last part."""
        *before, last = self.parts
        return self.model_copy(update={"parts": (*before, last.model_copy(update=changes))})


class Point(NamedTuple):
    """Where a part begins.

    Attributes:
        done: epochs of the run that are done.
        state: folder to resume from, empty for none. Relative to the run's folder.
        weights: checkpoint to begin with where there is no state, empty for none. Likewise.
        steps_per_epoch: 0 where unknown, which is so only at the start.
    """

    done: int
    state: str = ""
    weights: str = ""
    steps_per_epoch: int = 0

    def under(self, folder: str) -> Point:
        """Return it with the run's folder before its paths."""
        return self._replace(
            state=self.state and f"{folder}/{self.state}", weights=self.weights and f"{folder}/{self.weights}"
        )


class Steps(NamedTuple):
    """Steps of a run.

    Attributes:
        trained: in all parts.
        twice: of these, those that repeated others.
        left: until the end, for the part that runs or ran last.
    """

    trained: int
    twice: int
    left: int


def next_part(ledger: Ledger) -> Point:
    """Return where to go on: after the last epoch whose checkpoint and state are whole at home.

    Nothing is left at `epochs`. An epoch without its checkpoint is trained again, so that none is missing.
    A state with which a part failed before its first step is not taken again. Where the run saves no states,
    the newest checkpoint is taken, which holds neither optimizer nor schedule.
    """
    good = {part.state for part in ledger.parts if part.steps}
    spoiled = {part.state for part in ledger.parts if part.ended == "failed"} - good
    home = [
        (saved.kind == "state", saved.epoch, f"{part.folder}/{saved.name}")
        for part in ledger.parts
        for saved in part.saved
        if saved.files
    ]
    if any(epoch == ledger.epochs for is_state, epoch, _ in home if not is_state):
        return Point(ledger.epochs, steps_per_epoch=ledger.steps_per_epoch)
    checkpoints = {epoch for is_state, epoch, _ in home if not is_state}
    usable = [
        each
        for each in home
        if each[2] not in spoiled and each[0] == ledger.states and each[1] in checkpoints
    ]
    if not usable:
        return Point(0, steps_per_epoch=ledger.steps_per_epoch)
    is_state, epoch, path = max(usable, key=lambda each: each[:2])
    return Point(epoch, path if is_state else "", "" if is_state else path, ledger.steps_per_epoch)


def begun(ledger: Ledger, machine: int) -> Ledger:
    """Return the ledger with the next part, which begins on that machine."""
    point = next_part(ledger)
    part = Part(
        index=len(ledger.parts) + 1,
        done=point.done,
        machine=machine,
        state=point.state,
        weights=point.weights,
    )
    return ledger.model_copy(update={"parts": (*ledger.parts, part)})


def observed(ledger: Ledger, progress: Progress) -> Ledger:
    """Return the ledger with what the log of the last part tells: steps, and saves that are whole."""
    part = ledger.parts[-1]
    known = {saved.name for saved in part.saved}
    new = [
        Saved(epoch=epoch, name=name, kind="state" if path in progress.states else "checkpoint")
        for path in progress.whole
        if (name := PurePosixPath(path).name) not in known and (epoch := epoch_of(ledger, part, name))
    ]
    per_epoch = (
        progress.total // progress.epochs if progress.total and progress.epochs else ledger.steps_per_epoch
    )
    saved = (*part.saved, *new)
    steps = max([part.steps, progress.step, *((each.epoch - part.done) * per_epoch for each in saved)])
    return ledger.model_copy(update={"steps_per_epoch": per_epoch}).with_last(saved=saved, steps=steps)


def listed(ledger: Ledger, paths: Iterable[str]) -> Ledger:
    """Return the ledger with the saves at those paths in the run's folder, like `part-1/animal-000001-state`.

    The trainer may have removed them since, so that its log calls them whole no more.
    """
    parts = []
    for part in ledger.parts:
        known = {saved.name for saved in part.saved}
        found = (PurePosixPath(path) for path in sorted(paths))
        new = [
            Saved(epoch=epoch, name=path.name, kind="state" if path.name.endswith("-state") else "checkpoint")
            for path in found
            if str(path.parent) == part.folder
            and path.name not in known
            and (epoch := epoch_of(ledger, part, path.name))
        ]
        parts.append(part.model_copy(update={"saved": (*part.saved, *new)}))
    return ledger.model_copy(update={"parts": tuple(parts)})


def brought(ledger: Ledger, index: int, name: str, files: dict[str, str]) -> Ledger:
    """Return the ledger where a save of part `index` is whole at home, with the sha256 of each file."""
    part = ledger.parts[index - 1]
    saved = tuple(
        each.model_copy(update={"files": files}) if each.name == name else each for each in part.saved
    )
    parts = list(ledger.parts)
    parts[index - 1] = part.model_copy(update={"saved": saved})
    return ledger.model_copy(update={"parts": tuple(parts)})


def closed(ledger: Ledger, ended: Ended) -> Ledger:
    """Return the ledger where the last part, if any was begun, has ended so."""
    return ledger.with_last(ended=ended) if ledger.parts else ledger


def epoch_of(ledger: Ledger, part: Part, name: str) -> int | None:
    """Return the run's epoch after which a file or state of that name was saved; None within an epoch.

    The last epoch's has no number. A full fine-tune counts from 1 in each part, a LoRA through the run.
    """
    rest = _SUFFIX.sub("", name).removeprefix(ledger.name)
    if not rest:
        return ledger.epochs
    if not (number := _NUMBER.fullmatch(rest)):
        return None
    return int(number[1]) + (0 if ledger.script == LORA else part.done)


def steps_done(ledger: Ledger) -> Steps:
    """Return how many steps were trained, how many of them twice, and how many are left."""
    ends = [part.done * ledger.steps_per_epoch + part.steps for part in ledger.parts]
    trained = sum(part.steps for part in ledger.parts)
    left = ledger.epochs * ledger.steps_per_epoch - (ends[-1] if ends else 0)
    return Steps(trained, trained - max(ends, default=0), left)


def read(path: Path) -> Ledger | None:
    """Return the ledger in that file, None where there is no file.

    Raises:
        FraguaError: the file is damaged.
    """
    try:
        return Ledger.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise FraguaError(
            f"{path}: this ledger of a run is damaged, or another version's ({f'{where}: ' if where else ''}"
            f"{first['msg']}). Put a copy of it back, or move it away to train the run from its first epoch; "
            "the checkpoints beside it stay."
        ) from None


def write(path: Path, ledger: Ledger) -> None:
    """Put the ledger in that file, so that whatever happens the old or the new one is there whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(ledger.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
