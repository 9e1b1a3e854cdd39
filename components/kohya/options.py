"""The options of sd-scripts' two SDXL trainers, and whether what a person adds would be taken. Pure.

The parsers themselves refuse an unknown option or a wrong value only on the rented machine. What a value
means, and how options go together, is not known here: see `names` and `refusals`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from components.kohya.problem import Problem, suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

Script: TypeAlias = Literal["sdxl_train.py", "sdxl_train_network.py"]

FULL: Final[Script] = "sdxl_train.py"
LORA: Final[Script] = "sdxl_train_network.py"

_TRAINS: Final = {FULL: "a full fine-tune", LORA: "a LoRA"}
_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")
"""What argparse takes for a value although it begins with a hyphen."""


@dataclass(frozen=True)
class Option:
    """An option of a parser.

    Attributes:
        name: without the two hyphens.
        type: flag, text, int, float, or int_or_float (steps, or a share of all steps).
        is_list: whether it takes any number of values.
        choices: the only values; empty for any.
        default: the parser's own.
    """

    name: str
    type: str
    is_list: bool
    choices: tuple[str, ...]
    default: Any


def data(name: str) -> dict[str, Any]:
    """Read a table of this package."""
    text = (files("components.kohya") / "data" / name).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def options(script: Script) -> Mapping[str, Option]:
    """Return the options of a script by name."""
    table = data("options.json")
    return MappingProxyType(
        {name: _option(name, entry) for part in ("both", script) for name, entry in table[part].items()}
    )


def _option(name: str, entry: dict[str, Any]) -> Option:
    kind = entry.get("type", "text")
    default = entry.get("default", False if kind == "flag" else None)
    return Option(name, kind, entry.get("list", False), tuple(entry.get("choices", ())), default)


def values(script: Script, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every option's value as the parser would have it; what it would refuse stays as it is given."""
    known = options(script)
    found = {name: option.default for name, option in known.items()}
    for name, value in given.items():
        kind = known[name].type if name in known else "text"
        found[name] = [_read(kind, each) for each in value] if isinstance(value, list) else _read(kind, value)
    return found


def check_extra(
    script: Script, extra: Mapping[str, Any], taken: Mapping[str, str] = MappingProxyType({})
) -> list[Problem]:
    """Return what is wrong with the options that a person adds to the command of `script`.

    Args:
        script: the script that they are given to.
        extra: values by option: true for a flag, a list for an option that takes several.
        taken: options that fragua sets itself, with the field of the job file to use instead, or with an
            empty text where there is none.
    """
    return [
        problem
        for name, value in extra.items()
        if (problem := _misnamed(script, name, taken) or _misvalued(options(script)[name], value))
    ]


def _misnamed(script: Script, name: str, taken: Mapping[str, str]) -> Problem | None:
    known, plain = options(script), name.lstrip("-")
    if plain in taken:
        remedy = f"use {taken[plain]} instead" if taken[plain] else "leave it out"
        return Problem(name, "fragua sets this option itself", remedy)
    if plain in known:
        return Problem(name, "has hyphens in front", f"write {plain}") if name != plain else None
    other = FULL if script == LORA else LORA
    if plain in options(other):
        reason = f"{script}, which trains {_TRAINS[script]}, has no such option; {other} has"
        return Problem(name, reason, f"remove it, or train {_TRAINS[other]}")
    remedy = suggestion(plain, known, "look for its name in sd-scripts' documentation")
    return Problem(name, f"{script} has no such option", remedy)


def _misvalued(option: Option, value: Any) -> Problem | None:
    if option.type == "flag":
        if isinstance(value, bool):
            return None
        return Problem(option.name, f"is a flag and takes no value; found {value!r}", "write true")
    if option.is_list:
        if not isinstance(value, list | tuple):
            return Problem(option.name, f"takes a list; found {value!r}", "write it in [ ]")
        return next((problem for item in value if (problem := _misfit(option, item))), None)
    return _misfit(option, value)


def _misfit(option: Option, value: Any) -> Problem | None:
    if isinstance(value, bool):
        numeric = option.type in ("int", "float", "int_or_float")
        remedy = "write a number" if numeric else "put it in quotes"
        return Problem(option.name, f"takes {_accepted(option)}; found a yes or no", remedy)
    if value is None or isinstance(value, list | tuple | dict):
        return Problem(option.name, f"takes {_accepted(option)}; found {value!r}", "write one value")
    text = str(value)
    if text.startswith("-") and len(text) > 1 and not _NEGATIVE.fullmatch(text):
        reason = f"{text!r} begins with a hyphen, so that the parser takes it for another option"
        return Problem(option.name, reason, "begin it with another character")
    if option.choices and text not in option.choices:
        remedy = suggestion(text, option.choices, "choose one of them")
        return Problem(option.name, f"takes {_accepted(option)}; found {value!r}", remedy)
    if not _converts(option.type, text):
        return Problem(option.name, f"takes {_accepted(option)}; found {value!r}", "correct it")
    return None


def _accepted(option: Option) -> str:
    if option.choices:
        return f"one of {', '.join(option.choices)}"
    return {
        "int": "a whole number",
        "float": "a number",
        "int_or_float": "a whole number of steps, or a share of all steps below 1",
    }.get(option.type, "text")


def _converts(kind: str, text: str) -> bool:
    """Tell whether sd-scripts' parser could read `text`, and whether a number is finite."""
    value = _read(kind, text)
    return kind == "text" or (not isinstance(value, str) and math.isfinite(value))


def _read(kind: str, value: Any) -> Any:
    """Read a value as the parser reads its text; return it unchanged where the parser refuses it."""
    if value is None or isinstance(value, bool) or kind in ("flag", "text"):
        return value
    text = str(value)
    try:
        if kind == "int":
            return int(text)
        if kind == "int_or_float" and text.endswith("%"):
            return float(text[:-1]) / 100
        if kind == "int_or_float" and float(text) >= 1:
            return int(text)  # which refuses 1.0 and 1e2
        return float(text)
    except ValueError:
        return value
