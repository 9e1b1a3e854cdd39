"""What this user's own runs taught about speed and loss; empty at first. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from components.spec.base import Spec


class Speed(Spec):
    """What was measured on one GPU model with one kind of work."""

    seconds: Annotated[float, Field(gt=0)]
    """For one image, brought to the size and batch of the table's: the geometric mean of the runs."""
    runs: Annotated[int, Field(ge=1)]


class Experience(Spec):
    """The user's own numbers, which correct the table's and the model's."""

    speeds: dict[str, Speed] = Field(default={})
    """By `GPU/kind`, such as `RTX 4090/lora`."""
    bid_hours: Annotated[float, Field(ge=0)] = 0
    """Hours that interruptible machines ran in all."""
    outbid: Annotated[int, Field(ge=0)] = 0
    """How often one of them was taken away."""
