"""The ground of every model in a job file: frozen, no unknown keys, units that cannot slip."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class Spec(BaseModel):
    """A piece of a job file."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def _seconds(value: object) -> object:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * _SECONDS[match[2]]
        if 1 <= seconds <= 30 * 86400:
            return seconds
    raise ValueError(f"write a duration from 1s to 720h with its unit, such as 90s or 15m; found {value!r}")


Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    # 17 digits give every float back, and within the bounds none is written with an exponent
    PlainSerializer(lambda seconds: f"{seconds:.17g}s", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(s|m|h)$"}),
]
"""Seconds, written with a unit: `90s`, `15m`, `2h`; from a second to 30 days."""


def _gigabytes(value: object) -> object:
    if isinstance(value, int | float) and value >= 8192:
        raise ValueError(f"{value} looks like MiB, but this field is in GB: write {value / 1024:g}")
    return value


Gigabytes = Annotated[float, Field(gt=0), BeforeValidator(_gigabytes)]
"""Decimal GB; a number that can only be MiB is refused."""

Positive = Annotated[int, Field(ge=1)]
"""A whole number from 1."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A file's SHA-256 in lower-case hex."""
