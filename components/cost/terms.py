"""The terms of one way to rent one offer: on demand, or by a bid. Pure."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from components.spec.base import Spec

HOURS_PER_MONTH: Final = 720
"""Vast.ai prices storage by months of so many hours."""


class Terms(Spec):
    """What an offer asks and gives."""

    gpu: str
    gpus: Annotated[int, Field(ge=1)] = 1
    dlperf: Annotated[float, Field(ge=0)] = 0
    """Vast.ai's deep-learning score of the whole offer; 0 where it is not known."""
    price: Annotated[float, Field(ge=0)]
    """$/h for the GPUs while they run: on demand, or the bid."""
    min_bid: Annotated[float, Field(ge=0)] | None = None
    """$/h below which a bid loses; None for a contract on demand."""
    watched: bool = False
    """Whether somebody looks at the bid every five minutes, and lets it follow the market."""
    storage: Annotated[float, Field(ge=0)] = 0
    """$/GB/month, billed from renting to destroying."""
    up_cost: Annotated[float, Field(ge=0)] = 0
    """$/GB out of the machine."""
    down_cost: Annotated[float, Field(ge=0)] = 0
    """$/GB into the machine."""
    up: Annotated[float, Field(ge=0)] = 100
    """Mbps out of the machine."""
    down: Annotated[float, Field(ge=0)] = 100
    """Mbps into the machine."""
    reliability: Annotated[float, Field(ge=0, le=1)] = 1
    """Share of time that the host was up."""
    hours_left: Annotated[float, Field(ge=0)] | None = None
    """Until the host withdraws the machine; None where it is not known."""

    @property
    def interruptible(self) -> bool:
        """Whether it is a bid, and may be outbid."""
        return self.min_bid is not None

    def disk(self, gb: float) -> float:
        """Return $/h for `gb` GB of disk."""
        return self.storage * gb / HOURS_PER_MONTH
