"""sd-scripts' dataset configuration: keys, levels and types as its schema takes them, and what comes of it.

A key may stand in several places: a subset's value goes before its dataset's, then come `general`, the
command line and the default. The schema is strict: an unknown key or a 0 for a 0.0 ends the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from components.kohya.options import data
from components.kohya.problem import Problem, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LEVELS: Final = {"subset": "a subset", "dataset": "a dataset", "general": "general"}
_ON_COMMAND_LINE: Final = {"batch_size": "train_batch_size", "num_repeats": "dataset_repeats"}
"""Options whose name differs from the key's."""

_IS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, float),
    "text": lambda value: isinstance(value, str),
    "table": lambda value: isinstance(value, dict),
    "two ints": lambda value: _pair(value, int),
    "two floats": lambda value: _pair(value, float),
}
_WORDS: Final = {"int": "a whole number", "bool": "true or false", "float": "a number with a point"}


@cache
def _keys() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = data("dataset_keys.json")["keys"]
    return found


@dataclass(frozen=True)
class Resolved:
    """A dataset as sd-scripts will see it.

    Attributes:
        place: where it stands, such as `datasets[0]`.
        values: every key's value.
        subsets: every key's value for each subset.
    """

    place: str
    values: SimpleNamespace
    subsets: tuple[SimpleNamespace, ...]


def misfits(config: Mapping[str, Any]) -> list[Problem]:
    """Return what the schema refuses: unknown and misplaced keys, and values of the wrong type."""
    found = [
        Problem(key, "is no part of a dataset configuration", suggestion(key, ("general", "datasets")))
        for key in config
        if key not in ("general", "datasets")
    ]
    found += _table("general", config.get("general", {}), "general")
    for place, dataset in _numbered("datasets", config.get("datasets", ())):
        found += _table(place, dataset, "dataset")
        for inner, subset in _numbered(f"{place}.subsets", dataset.get("subsets", ())):
            found += _table(inner, subset, "subset")
    return found


def resolved(config: Mapping[str, Any], options: Mapping[str, Any]) -> list[Resolved]:
    """Return the datasets of a configuration, each key resolved; `options` are those of the command."""
    fallback = {key: _fallback(key, entry, options) for key, entry in _keys().items()}
    fallback |= config.get("general", {})
    found = []
    for place, dataset in _numbered("datasets", config.get("datasets", ())):
        values = fallback | {key: value for key, value in dataset.items() if key != "subsets"}
        subsets = tuple(SimpleNamespace(**(values | dict(subset))) for subset in dataset.get("subsets", ()))
        found.append(Resolved(place, SimpleNamespace(**values), subsets))
    return found


def given(config: Mapping[str, Any], key: str) -> bool:
    """Tell whether a key stands anywhere in a configuration."""
    datasets = config.get("datasets", ())
    subsets = [subset for dataset in datasets for subset in dataset.get("subsets", ())]
    return any(key in table for table in (config.get("general", {}), *datasets, *subsets))


def _numbered(place: str, tables: Any) -> list[tuple[str, Mapping[str, Any]]]:
    return [(f"{place}[{index}]", table) for index, table in enumerate(tables)]


def _fallback(key: str, entry: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    value = options.get(_ON_COMMAND_LINE.get(key, key))
    if value is None:
        return entry.get("default")
    if key == "resolution":
        sides = [int(side) for side in str(value).split(",")]
        return sides[0] if len(sides) == 1 else sides
    return value


def _table(place: str, table: Mapping[str, Any], level: str) -> list[Problem]:
    return [
        problem
        for key, value in table.items()
        if not (level == "dataset" and key == "subsets")
        if (problem := _misplaced(f"{place}.{key}", key, level) or _mistyped(f"{place}.{key}", key, value))
    ]


def _misplaced(place: str, key: str, level: str) -> Problem | None:
    entry = _keys().get(key)
    if entry is None:
        allowed = {name for name, known in _keys().items() if level in known["levels"]}
        return Problem(place, "sd-scripts knows no such key", suggestion(key, allowed))
    if level in entry["levels"]:
        return None
    right = " or ".join(_LEVELS[each] for each in entry["levels"])
    return Problem(place, f"sd-scripts refuses this key in {_LEVELS[level]}", f"put it in {right}")


def _mistyped(place: str, key: str, value: Any) -> Problem | None:
    entry = _keys()[key]
    types = entry["types"]
    if not any(_IS[kind](value) for kind in types):
        wanted = " or ".join(_WORDS.get(kind, kind) for kind in types)
        remedy = f"write {float(value)}" if types == ["float"] and _IS["int"](value) else "correct it"
        return Problem(place, f"takes {wanted}; found {value!r}", remedy)
    choices = entry.get("choices")
    if not choices or value in choices:
        return None
    remedy = suggestion(value, choices, "choose one of them")
    return Problem(place, f"takes one of {', '.join(choices)}; found {value!r}", remedy)


def _pair(value: Any, kind: type) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(type(item) is kind for item in value)
