"""Vast's filter grammar: `{field: {operator: value}}`, every condition ANDed.

Values may arrive as strings (the official client sends most of them so) and are cast to the type
of the field. It knows no field names but the aliases; the caller says which fields exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from simulator.errors import APIError
from simulator.offers import driver_number

OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte", "in", "notin")
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
Row = dict[str, Any]
Condition = Callable[[Row], bool]


def invalid_request(msg: str) -> APIError:
    """Return the 400 of a query that cannot be read."""
    return APIError(400, "invalid_request", msg)


def compile_filters(filters: Row, types: dict[str, type]) -> Condition:
    """Return a predicate for `{field: {operator: value}}`.

    Args:
        filters: the conditions.
        types: the type of each field that may be filtered on.

    Raises:
        APIError: 400 `invalid_request`: unknown field or operator, or a value of the wrong type.
    """
    tests = [
        _compile_one(name, operator, value, types)
        for name, conditions in filters.items()
        for operator, value in _conditions(name, conditions).items()
    ]
    return lambda row: all(test(row) for test in tests)


def _conditions(name: str, conditions: Any) -> Row:
    if not isinstance(conditions, dict):
        msg = f'{name}: expected {{"operator": value}}, got {conditions!r}.'
        raise invalid_request(msg)
    return conditions


def _compile_one(name: str, operator: str, value: Any, types: dict[str, type]) -> Condition:
    if name not in types:
        raise invalid_request(f"{name} is not a valid search key.")
    if operator not in OPERATORS:
        raise invalid_request(f"{name}: {operator!r} is not an operator ({' '.join(OPERATORS)}).")
    kind = types[name]
    if operator in ("in", "notin"):
        if not isinstance(value, list):
            raise invalid_request(f"{name}: {operator} needs a list.")
        wanted = [cast(name, item, kind) for item in value]
        return lambda row: (_read(row, name, kind) in wanted) is (operator == "in")
    target = cast(name, value, kind)
    if operator in ("eq", "neq"):
        return lambda row: (_read(row, name, kind) == target) is (operator == "eq")
    if target is None:
        raise invalid_request(f"{name}: null cannot be ordered with {operator}.")
    return lambda row: _ordered(_read(row, name, kind), operator, target)


def _read(row: Row, name: str, kind: type) -> Any:
    value = row.get(name)
    return False if value is None and kind is bool else value


def _ordered(value: Any, operator: str, target: Any) -> bool:
    if value is None:
        return False
    if operator == "gt":
        return bool(value > target)
    if operator == "gte":
        return bool(value >= target)
    return bool(value < target if operator == "lt" else value <= target)


def cast(name: str, value: Any, kind: type) -> Any:
    """Return `value` as the field's type; null stays null.

    Raises:
        APIError: 400 `invalid_request`.
    """
    if value is None:
        return None
    try:
        if kind is bool:
            return BOOLEANS[str(value).lower()]
        if kind is str:
            return str(value)
        if name == "driver_vers" and "." in str(value):
            return driver_number(str(value))
        return float(value)
    except (KeyError, TypeError, ValueError):
        raise invalid_request(f"{name}: {value!r} is not a {kind.__name__}.") from None


def sort_rows(rows: Iterable[Row], order: list[tuple[str, str]]) -> list[Row]:
    """Return the rows sorted by several `(field, "asc" or "desc")`, nulls always last."""
    result = list(rows)
    for name, direction in reversed(order):
        known = [row for row in result if row.get(name) is not None]
        known.sort(key=lambda row, name=name: row[name], reverse=direction == "desc")  # type: ignore[misc]
        result = known + [row for row in result if row.get(name) is None]
    return result
