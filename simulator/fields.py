"""Reading the fields of a JSON body; what cannot be read is refused by name."""

from __future__ import annotations

from typing import Any

from simulator.errors import invalid_args


def text(body: dict[str, Any], name: str, limit: int) -> str | None:
    """Return an optional string of the body.

    Raises:
        APIError: 400 `invalid_args` for another type or a string that is too long.
    """
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid_args(f"{name}: expected a string, got {type(value).__name__}.")
    if len(value) > limit:
        raise invalid_args(f"{name}: {len(value)} characters; at most {limit} are allowed.")
    return value


def number(body: dict[str, Any], name: str) -> float | None:
    """Return an optional number of the body.

    Raises:
        APIError: 400 `invalid_args` for another type.
    """
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid_args(f"{name}: expected a number, got {value!r}.")
    return float(value)


def numbers(body: dict[str, Any], name: str) -> list[int]:
    """Return a list of ids of the body.

    Raises:
        APIError: 400 `invalid_args` for anything else.
    """
    value = body.get(name)
    if not isinstance(value, list) or any(type(item) is not int for item in value):
        raise invalid_args(f"{name}: expected a list of ids.")
    return value


def flag(body: dict[str, Any], name: str, default: bool) -> bool:
    """Return a boolean of the body.

    Raises:
        APIError: 400 `invalid_args` for another type.
    """
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid_args(f"{name}: expected true or false, got {value!r}.")
    return value
