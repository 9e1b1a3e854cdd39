"""The ground of every model in a job file: frozen, no unknown keys, units that cannot slip."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

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


def _written(moment: float | str | datetime) -> str:
    if isinstance(moment, datetime):
        return moment.isoformat()
    # 17 digits give every float back, and within the bounds none is written with an exponent
    return moment if isinstance(moment, str) else f"{moment:.17g}s"


def told(seconds: float) -> str:
    """Write a duration for a person, in the largest unit that leaves no rest."""
    unit = next(unit for unit in "hms" if seconds % _SECONDS[unit] == 0 or unit == "s")
    return f"{seconds / _SECONDS[unit]:.10g}{unit}"


_WRITTEN = PlainSerializer(_written, return_type=str)
_AS_DURATION = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(s|m|h)$"}

Duration = Annotated[float, BeforeValidator(_seconds), _WRITTEN, WithJsonSchema(_AS_DURATION)]
"""Seconds, written with a unit: `90s`, `15m`, `2h`; from a second to 30 days."""


def _seconds_or_off(value: object) -> object:
    if value is False or value == "off":  # YAML reads a plain `off` as false
        return "off"
    try:
        return _seconds(value)
    except ValueError:
        words = "write a duration from 1s to 720h with its unit, such as 90m or 24h, or `off`"
        raise ValueError(f"{words}; found {value!r}") from None


DurationOrOff = Annotated[
    float | Literal["off"],
    BeforeValidator(_seconds_or_off),
    _WRITTEN,
    WithJsonSchema({"anyOf": [_AS_DURATION, {"type": "string", "const": "off"}]}),
]
"""Seconds as `Duration` has them, or `off`."""


def _moment(value: object) -> object:
    moment = value
    if isinstance(value, str):
        with suppress(ValueError):
            return _seconds(value)
        with suppress(ValueError):
            moment = datetime.fromisoformat(value.strip())
    if not isinstance(moment, datetime):
        raise ValueError(  # noqa: TRY004 - pydantic wants a ValueError
            "write a time with its zone, such as 2027-01-31T18:00+01:00, or a duration from 1s to 720h from "
            f"renting, such as 12h; found {value!r}"
        )
    if moment.tzinfo is None:
        raise ValueError(f"{value} has no time zone: write {moment.isoformat(timespec='minutes')}+00:00")
    return moment


Deadline = Annotated[
    float | datetime,
    BeforeValidator(_moment),
    _WRITTEN,
    WithJsonSchema({"anyOf": [_AS_DURATION, {"type": "string", "format": "date-time"}]}),
]
"""A time with its zone, or seconds from renting."""


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"write a number; found {value!r}")  # noqa: TRY004 - pydantic wants a ValueError
    return value


def _gigabytes(value: object) -> object:
    if isinstance(value, int | float) and value >= 8192:
        raise ValueError(f"{value} looks like MiB, but this field is in GB: write {round(value / 1024)}")
    return _number(value)


Gigabytes = Annotated[float, Field(gt=0), BeforeValidator(_gigabytes)]
"""Decimal GB; a number that can only be MiB is refused."""

Dollars = Annotated[float, Field(gt=0), BeforeValidator(_number)]
"""$, or $/h."""


def _share(value: object) -> object:
    if isinstance(value, int | float) and 2 < value <= 100:
        raise ValueError(f"{value:g} looks like percent, but this is a share: write {value / 100:g}")
    return _number(value)


Percent = BeforeValidator(_share)
"""Refuses a number that can only be percent."""

Share = Annotated[float, Field(ge=0, le=1), Percent]
"""From none (0) to all (1)."""

Positive = Annotated[int, Field(ge=1)]
"""A whole number from 1."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A file's SHA-256 in lower-case hex."""

_TOKEN_NAME = "^[a-z][a-z0-9_]{0,19}$"  # noqa: S105 - of its name
"""Shorter than any token, which somebody may write in the place of its name."""


def _token_name(name: str) -> str:
    if not re.match(_TOKEN_NAME, name):
        raise ValueError(
            "write the name of a token, not the token: a letter of a to z, then at most 19 of a to z, 0 to 9 "
            "and '_', such as civitai for the stack's secret civitai:token, or CIVITAI_TOKEN"
        )
    return name


TokenName = Annotated[
    str, AfterValidator(_token_name), WithJsonSchema({"type": "string", "pattern": _TOKEN_NAME})
]
"""Such as `civitai`: the stack's secret `civitai:token`, or CIVITAI_TOKEN; HF_TOKEN for `huggingface`."""
