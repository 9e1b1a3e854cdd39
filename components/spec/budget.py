"""What a job may cost and how long: the `budget:` part of every job file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from components.spec.base import Duration, Spec

Off = Literal["off"]


class Budget(Spec):
    """Ceilings in dollars and time, and what ends a machine when nobody looks.

    The ceiling in dollars is for the whole job: GPUs, storage and traffic, over all machines that it takes.
    """

    max_total: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Most $ for the whole job: nothing dearer is rented, and what runs ends itself when it is spent."""
    deadline: Duration | AwareDatetime | None = None
    """When it must be finished: a time such as 2027-01-31T18:00+01:00, or as `12h` from renting."""
    hours: Annotated[float, Field(gt=0, le=8760)] = 24
    """How long a machine that serves is meant to be up: what the shown total is for."""
    slack: Annotated[float, Field(ge=0, le=2)] = 0.25
    """How far above the price that was shown `up` may rent, as a share of it."""
    lease: Duration | Off = 86400
    """The machine ends itself when no command of fragua renewed its lease for so long."""
    idle: Duration | Off = 3600
    """The machine ends itself when its GPU did nothing for so long."""
    max_time: Duration | None = None
    """The machine ends itself after so long, whatever it does."""
    at_end: Literal["stop", "destroy"] = "stop"
    """What the machine does to itself while checkpoints on it are not at home: stop, and bill its disk until
    somebody destroys it, or destroy. Without such checkpoints it is destroyed."""

    def hours_until_deadline(self, now: datetime | None = None) -> float | None:
        """Return the hours from `now` (by default the present) to the deadline; None where there is none."""
        if self.deadline is None or isinstance(self.deadline, float | int):
            return None if self.deadline is None else self.deadline / 3600
        return (self.deadline - (now or datetime.now(UTC))).total_seconds() / 3600
