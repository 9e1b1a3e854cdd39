"""What a job may cost and how long: the `budget:` part of every job file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from components.spec.base import Deadline, Dollars, Duration, DurationOrOff, Percent, Spec, told

if TYPE_CHECKING:
    from components.spec.node import Limits


class Budget(Spec):
    """Ceilings in dollars and time, and what ends a machine when nobody looks.

    The ceiling in dollars is for the whole job: GPUs, storage and traffic. Machines side by side share it
    equally, and each share covers all machines one after another, until `pulumi destroy`.
    """

    max_total: Annotated[Dollars, Field(le=100_000)] | None = None
    """Most $ for the whole job: nothing dearer is rented, and what runs ends itself when it is spent. A
    machine that replaces others has what they left."""
    deadline: Deadline | None = None
    """When it must be finished: a time such as 2027-01-31T18:00+01:00, or as `12h` from renting."""
    hours: Annotated[float, Field(gt=0, le=8760)] | None = None
    """How long a machine that serves is meant to be up: what the shown total is for. Left out: 24, or until
    max_time."""
    slack: Annotated[float, Field(ge=0, le=2), Percent] = 0.25
    """How far above the price that was shown `up` may rent, as a share of it."""
    lease: DurationOrOff = 86400
    """The machine ends itself when no command of fragua renewed its lease for so long."""
    idle: DurationOrOff = 3600
    """The machine ends itself when for so long its GPU did nothing and nothing was sent or fetched."""
    max_time: Duration | None = None
    """The machine ends itself after so long, whatever it does."""
    at_end: Literal["stop", "destroy"] = "stop"
    """What the machine does to itself while checkpoints on it are not at home: stop, and bill its disk until
    somebody destroys it, or destroy. Without such checkpoints it is destroyed."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.hours and self.max_time and self.hours * 3600 > self.max_time:
            raise ValueError(
                f"hours {self.hours:g} is longer than max_time {told(self.max_time)}, after which the "
                "machine ends itself: shorten the one or lengthen the other"
            )
        return self

    def check(self, limits: Limits, *, serves: bool, **then: float) -> None:
        """Hold that the job can be done within the budget, and that nothing ends a machine while `up` waits.

        Args:
            limits: of the node.
            serves: whether the machine is up for its hours, instead of until something is done.
            then: seconds that `up` may wait for more than SSH, by the field of the job that says it.

        Raises:
            ValueError: it cannot; the message says why, and what to do.
        """
        if self.hours and not serves:
            raise ValueError(
                "budget.hours is of machines that serve; a training lasts until it is done: leave it out, or "
                "bound it by budget.max_time or budget.deadline"
            )
        start = limits.boot + limits.ssh
        if serves and isinstance(self.deadline, float | int) and self.deadline < start + self.up_hours * 3600:
            raise ValueError(
                f"budget.deadline {told(self.deadline)} may come before the {self.up_hours:g} hours are over "
                f"that the machine is to be up, once it started (node.limits.boot {told(limits.boot)} + "
                f"node.limits.ssh {told(limits.ssh)}): lower budget.hours to what is needed, or lengthen it"
            )
        waits = {
            "node.limits.ssh": limits.ssh,
            **{name.replace("__", "."): each for name, each in then.items()},
        }
        rent = {"node.limits.boot": limits.boot, "node.limits.ssh": limits.ssh}
        bounds = (
            ("lease", self.lease, waits),
            ("idle", self.idle, waits),
            ("max_time", self.max_time, {"node.limits.ssh": limits.ssh}),
            ("deadline", self.deadline, rent),
        )
        for name, given, needed in bounds:
            if isinstance(given, float | int) and given < sum(needed.values()):
                parts = " + ".join(f"{field} {told(each)}" for field, each in needed.items())
                raise ValueError(
                    f"budget.{name} {told(given)} is shorter than `up` may wait before the machine works "
                    f"({parts}): lengthen it, or shorten those"
                )

    @property
    def up_hours(self) -> float:
        """How long a machine that serves is meant to be up."""
        return self.hours or min(24, (self.max_time or 86400) / 3600)

    def hours_until_deadline(self, now: datetime | None = None) -> float | None:
        """Return the hours from `now` (by default the present) to the deadline; None where there is none."""
        if self.deadline is None or isinstance(self.deadline, float | int):
            return None if self.deadline is None else self.deadline / 3600
        return (self.deadline - (now or datetime.now(UTC))).total_seconds() / 3600
