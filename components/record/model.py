"""The record of a run: everything that a person or a program may ask about it later.

Steps and epochs count over the whole run, however many machines and launches of the trainer it took.
"""

from __future__ import annotations

from datetime import UTC
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

VERSION: Final = 1
"""Of the record's format; a change that an older fragua would misread raises it."""

_ABSURD: Final = 1e30
_LONG: Final = 1000


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not abs(value) < _ABSURD else value


def _brief(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if len(value) <= _LONG}


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ValueError(f"must be a path inside the run's folder; found {path!r}")
    return path


Moment = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]
"""A time with its zone, kept in UTC."""
Inside = Annotated[str, AfterValidator(_inside)]
"""A file, relative to the run's folder, with forward slashes."""
Count = Annotated[int, Field(ge=0, lt=2**63)]
Dollars = Annotated[float, Field(ge=0)]
Metadata = Annotated[dict[str, str], AfterValidator(_brief)]
"""Without its long values, which repeat the captions of the whole dataset."""
Measured = Annotated[float | None, BeforeValidator(_finite)]
"""None where it was nan, infinite or absurd."""


class Entry(BaseModel):
    """A piece of a record."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Versions(Entry):
    """What trained; None where it is not known."""

    fragua: str | None = None
    """Commit."""
    sd_scripts: str | None = None
    """Commit."""
    torch: str | None = None
    python: str | None = None


class Machine(Entry):
    """A machine that was rented for the run."""

    instance: int
    gpu: str
    gpus: Count
    price: Dollars
    """$/h."""
    interruptible: bool | None = None
    """Whether it was rented by a bid; None where it is not known."""
    market: str | None = None
    """Address of the API at which it was rented."""
    country: str | None = None
    """Of its host."""
    rented: Moment
    released: Moment | None = None
    """None while it is rented."""
    why: str = ""
    """Why it ended."""


class Cost(Entry):
    """What the run costs, in $."""

    spent: Dollars
    predicted: Dollars | None = None
    """For the whole run, as it was last foreseen."""
    foreseen: Dollars | None = None
    """For the GPUs' time of training, as it was foreseen when the run began: without losses."""
    foreseen_hours: Annotated[float, Field(ge=0)] | None = None
    """The same in hours."""


class Hashes(Entry):
    """What went in; the same hashes and versions make the same run."""

    dataset: str
    """Digest of its manifest."""
    base_model: str
    """Its SHA-256, or where it came from if that is not known."""
    job: str
    """Digest of the job."""


class Part(Entry):
    """One launch of the trainer."""

    instance: int
    """The machine it ran on."""
    first_epoch: Count
    last_epoch: Count
    """The last epoch it began."""
    first_step: Count
    last_step: Count
    """The last step it did; beyond the next part's first step, steps were lost and done again."""
    seconds_per_step: Measured = None
    """In the mean, with all pauses for samples and saves."""
    resumed_from: str | None = None
    """The checkpoint or state that it went on from."""


class LossPoint(Entry):
    """The loss at a step."""

    step: Count
    loss: Measured
    learning_rate: Measured = None


class Checkpoint(Entry):
    """A checkpoint that was brought home whole."""

    file: Inside
    epoch: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Count
    """Bytes."""
    metadata: Metadata = {}
    """What it says of its making."""
    wrong: tuple[str, ...] | None = None
    """What of that is not as planned; None where it was not checked."""


class Sample(Entry):
    """An image drawn during training; `epoch` or `step` says when."""

    file: Inside
    prompt: str
    epoch: Count | None = None
    step: Count | None = None


class Event(Entry):
    """Something that happened."""

    time: Moment
    text: str


Status = Literal["running", "done", "failed", "preempted"]
"""preempted: its machine was lost, and no other was rented yet."""


class Record(Entry):
    """The record of one run."""

    version: Literal[1] = VERSION
    run: str
    """Its id."""
    job: str
    """The job's name."""
    kind: Literal["full", "lora"]
    status: Status
    started: Moment
    ended: Moment | None = None
    versions: Versions = Versions()
    settings: dict[str, JsonValue]
    """The job as it was trained, nothing left out."""
    derived: tuple[str, ...] = ()
    """What the job file left out and fragua chose, and why: `training.epochs 10: 200 images an epoch`, or
    several of one place, `training: batch_size 4, optimizer AdamW8bit: they fit in 24 GB`."""
    machines: tuple[Machine, ...] = ()
    """In the order of renting."""
    cost: Cost
    hashes: Hashes
    parts: tuple[Part, ...] = ()
    """In the order of their launch."""
    loss: tuple[LossPoint, ...] = ()
    """In the order of training: steps done again after a machine was lost are there twice."""
    checkpoints: tuple[Checkpoint, ...] = ()
    samples: tuple[Sample, ...] = ()
    events: tuple[Event, ...] = ()
