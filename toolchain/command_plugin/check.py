"""Checking inputs: types, required and unknown fields, defaults, secret marks.

Works on the tables in schema.py; the rules that belong to one resource alone are the caller's.
"""

from typing import Any

from toolchain.command_plugin import values
from toolchain.command_plugin.schema import (
    Anything,
    ArrayOf,
    AssetOrArchive,
    Fields,
    MapOf,
    ObjectType,
    Scalar,
    Type,
)
from toolchain.command_plugin.values import UNKNOWN, Properties, Secret


def check(owner: str, fields: Fields, news: Properties) -> tuple[Properties, dict[str, str]]:
    """Completes a resource's inputs.

    Args:
        owner: the type token that messages name.
        fields: what the type accepts.
        news: what the program gave.

    Returns:
        The inputs with defaults filled in and secret fields marked (also where some are wrong,
        so that a preview of them leaks nothing), and for each wrong property the reason.
    """
    failures: dict[str, str] = {}
    inputs = _check_fields(owner, fields, news, "", failures)
    return inputs, failures


def _check_fields(
    owner: str, fields: Fields, given: Properties, where: str, failures: dict[str, str]
) -> Properties:
    checked = dict(given)
    for name in given:
        if name not in fields:
            failures[where or name] = f"Unrecognized field '{name}' on '{owner}'"
    for name, field in fields.items():
        if name in given:
            value = _check_value(given[name], field.type, f"'{name}' on '{owner}'", where or name, failures)
            checked[name] = values.secret(value) if field.secret else value
        elif field.required:
            failures[where or name] = f"Missing required field '{name}' on '{owner}'"
        elif field.default is not None:
            checked[name] = field.default
    return checked


def _check_value(value: Any, expected: Type, label: str, where: str, failures: dict[str, str]) -> Any:
    if isinstance(value, Secret):
        return Secret(_check_value(value.value, expected, label, where, failures))
    python_type, type_name = _representation(expected)
    if value is UNKNOWN:
        return value
    if not isinstance(value, python_type):
        failures[where] = f"Field {label} must be a '{type_name}'; got '{type(value).__name__}' instead"
        return value
    checked = value
    match expected:
        case ArrayOf(item):
            checked = [_check_value(each, item, label, where, failures) for each in value]
        case MapOf(item):
            checked = {
                key: _check_value(each, item, f"'{key}' in {label}", where, failures)
                for key, each in value.items()
            }
        case ObjectType(token, fields):
            checked = _check_fields(token, fields, value, where, failures)
    return checked


def _representation(expected: Type) -> tuple[Any, str]:
    match expected:
        case Scalar("string"):
            return str, "string"
        case Scalar("boolean"):
            return bool, "boolean"
        case Scalar(name):
            return float, name  # the wire has one kind of number
        case ArrayOf():
            return list, "list"
        case MapOf() | ObjectType():
            return dict, "map"
        case Anything() | AssetOrArchive():
            return object, "value"
