"""Names that sd-scripts looks up only after loading and caching, and their arguments. Pure.

Optimizers, learning rate schedulers and network modules are any text to its parsers. A wrong name, or a
wrong argument of a right one, ends the training after paid minutes; a network argument that the module does
not know has no effect at all.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from components.kohya.options import data
from components.kohya.problem import Problem, suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_PRESETS: Final = ("cosine", "sine", "linear", "reverse_linear", "zeros")
_WORDS: Final = {"true": "True", "false": "False", "none": "None", "null": "None"}


@cache
def _table() -> dict[str, Any]:
    return data("algorithms.json")


PACKAGES: Final = {"lycoris": "lycoris-lora"}
"""What a package is called that Python imports by another name."""


def check_names(options: Mapping[str, Any], packages: Collection[str] = ()) -> list[Problem]:
    """Return what is wrong with the names and their arguments in the options of a command.

    Args:
        options: values by option, as the command has them; what is left out is the parser's default.
        packages: what is installed, by the names that Python imports, beside sd-scripts' requirements.
    """
    installed = {*_table()["packages"], *packages}
    optimizer = optimizer_of(options)
    found = [_optimizer(optimizer, installed)]
    found += _literals("optimizer_args", options, _optimizer_arguments(optimizer), optimizer)
    scheduler, known = str(options.get("lr_scheduler") or "constant"), None
    if own_scheduler := options.get("lr_scheduler_type"):
        scheduler = str(own_scheduler)
        found += [_dotted("lr_scheduler_type", scheduler, installed)]
    elif not replaces_scheduler(options):
        known = _table()["schedulers"].get(scheduler)
        found += [_scheduler(scheduler)]
    found += _literals("lr_scheduler_args", options, known, scheduler)
    if module := options.get("network_module"):
        found += [_network(str(module), installed)]
        found += _network_arguments(str(module), options.get("network_args") or ())
    return [problem for problem in found if problem]


def optimizer_of(options: Mapping[str, Any]) -> str:
    """Return the optimizer that options choose, as the table spells it: sd-scripts ignores capitals."""
    if options.get("use_8bit_adam"):
        return "AdamW8bit"
    name = "Lion" if options.get("use_lion_optimizer") else str(options.get("optimizer_type") or "AdamW")
    spelled: dict[str, str] = {each.lower(): each for each in _table()["optimizers"]}
    return spelled.get(name.lower(), name)


def relative_step(options: Mapping[str, Any]) -> bool:
    """Tell whether Adafactor finds its own learning rate, as it does unless it is told otherwise."""
    given = dict(str(item).split("=", 1) for item in options.get("optimizer_args") or () if "=" in str(item))
    fixed = given.get("relative_step") == "False" and given.get("warmup_init") != "True"
    return optimizer_of(options) == "Adafactor" and not fixed


def replaces_scheduler(options: Mapping[str, Any]) -> bool:
    """Tell whether the optimizer brings its own schedule, so that `lr_scheduler` has no effect."""
    return relative_step(options) or optimizer_of(options).endswith("ScheduleFree")


def _optimizer_arguments(name: str) -> dict[str, str] | None:
    found: dict[str, Any] | None = _table()["optimizers"].get(name)
    return found and found["arguments"]


def _optimizer(name: str, installed: Collection[str]) -> Problem | None:
    table = _table()
    if found := table["optimizers"].get(name):
        return _missing("optimizer_type", name, found["package"], installed)
    if name in table["torch_optimizers"]:
        return None
    if "." in name:
        return _dotted("optimizer_type", name, installed)
    known = [*table["optimizers"], *table["torch_optimizers"]]
    elsewhere = {each.lower(): path for each, path in table["dotted_optimizers"].items()}.get(name.lower())
    remedy = f"write {elsewhere}" if elsewhere else suggestion(name, set(known))
    return Problem("optimizer_type", f"there is no optimizer {name}", remedy)


def _dotted(option: str, name: str, installed: Collection[str]) -> Problem | None:
    if not all(part.isidentifier() for part in name.split(".")):
        return Problem(option, f"{name!r} is no class of Python", "write a path such as package.Class")
    return _missing(option, name, name.partition(".")[0], installed) if "." in name else None


def _missing(option: str, name: str, package: str, installed: Collection[str]) -> Problem | None:
    if package in installed:
        return None
    called = PACKAGES.get(package, package)
    reason = f"{name} needs the package {called}, which sd-scripts' requirements do not install"
    return Problem(option, reason, "choose another, or add it to packages")


def _scheduler(name: str) -> Problem | None:
    head, _, rate = name.partition(":")
    if head == "adafactor":
        if _number(rate):
            return None
        return Problem("lr_scheduler", f"{name} lacks its learning rate", "write it as adafactor:1e-4")
    known = _table()["schedulers"]
    if name in known:
        return None
    return Problem("lr_scheduler", f"there is no scheduler {name}", suggestion(name, known))


def _network(name: str, installed: Collection[str]) -> Problem | None:
    table = _table()
    if name in table["networks"]:
        return _dotted("network_module", name, {*installed, "networks"})
    if model := table["other_networks"].get(name):
        return Problem("network_module", f"{name} is for {model}, not for SDXL", "write networks.lora")
    if name.partition(".")[0] in ("networks", "lycoris") or "." not in name:
        remedy = suggestion(name, table["networks"])
        return Problem("network_module", f"there is no network module {name}", remedy)
    return _dotted("network_module", name, installed)


def _literals(
    option: str, options: Mapping[str, Any], known: Mapping[str, str] | None, owner: str
) -> list[Problem | None]:
    return [_literal(option, str(item), known, owner) for item in options.get(option) or ()]


def _literal(option: str, item: str, known: Mapping[str, str] | None, owner: str) -> Problem | None:
    """Check one argument as sd-scripts reads it: exactly one `=`, and behind it a literal of Python."""
    key, equals, text = item.partition("=")
    if not equals or "=" in text or not key.isidentifier():
        return Problem(option, f"{item!r} is not of the form name=value", "write such as weight_decay=0.01")
    if known is not None and key not in known:
        return Problem(option, f"{owner} has no argument {key}", _known(key, known))
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        right = _WORDS.get(text.lower(), f"{text!r}")
        reason = f"{text!r} in {item!r} is no literal of Python"
        return Problem(option, reason, f'write "{key}={right}"')
    kind = (known or {}).get(key, "any")
    if kind == "any" or (kind.endswith("?") and value is None) or _LITERALS[kind.rstrip("?")](value):
        return None
    return Problem(option, f"{key} takes {_described(kind)}; found {text}", "correct it")


def _network_arguments(module: str, items: Collection[Any]) -> list[Problem | None]:
    known = _table()["networks"].get(module)
    return [_network_argument(module, str(item), known) for item in items]


def _network_argument(module: str, item: str, known: Mapping[str, str] | None) -> Problem | None:
    key, equals, text = item.partition("=")
    if not equals or not key:
        return Problem("network_args", f"{item!r} is not of the form name=value", "write such as conv_dim=8")
    if known is None:
        return None
    if key not in known:
        reason = f"{module} ignores the unknown argument {key}"
        if key in _table()["networks"]["lycoris.kohya"]:
            return Problem("network_args", reason, "remove it, or take network_module lycoris.kohya")
        return Problem("network_args", reason, _known(key, known))
    if _text_fits(known[key], text):
        return None
    return Problem("network_args", f"{key} takes {_described(known[key])}; found {text!r}", "correct it")


def _known(key: str, known: Mapping[str, str]) -> str:
    return suggestion(key, known) if known else "remove it: it takes none"


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _int(text: str) -> bool:
    return bool(re.fullmatch(r"\s*[+-]?\d+\s*", text))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_numbers(value: Any, count: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == count and all(map(_is_number, value))


_LITERALS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "number": _is_number,
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "text": lambda value: isinstance(value, str),
    "2 numbers": lambda value: _are_numbers(value, 2),
    "3 numbers": lambda value: _are_numbers(value, 3),
}
"""Kinds of optimizer and scheduler arguments, which are literals of Python."""


_TEXTS: Final[Mapping[str, Callable[[str], bool]]] = {
    "int": _int,
    "number": _number,
    "share": lambda text: _number(text) and 0 <= float(text) <= 1,
    "numbers": lambda text: all(_number(part or "0") for part in text.split(",")),
    "23 ints": lambda text: len(parts := text.split(",")) == 23 and all(map(_int, parts)),
    "23 numbers": lambda text: len(parts := text.split(",")) == 23 and all(map(_number, parts)),
    "weights": lambda text: _TEXTS["numbers"](text) if "," in text else _preset(text),
    "bool": lambda text: text.lower() in ("true", "false"),
    "only True": lambda text: text == "True",
    "text": bool,
}
"""Kinds of network arguments, which stay text until the module reads them."""


def _preset(text: str) -> bool:
    name, plus, base = text.partition("+")
    return name in _PRESETS and (not plus or _number(base))


def _text_fits(kind: str, text: str) -> bool:
    return text.lower() in kind.split("|") if "|" in kind else _TEXTS[kind](text)


def _described(kind: str) -> str:
    return {
        "number": "a number",
        "int": "a whole number",
        "bool": "True or False",
        "text": "text in quotes",
        "2 numbers": "two numbers, such as [0.9, 0.99]",
        "3 numbers": "three numbers, such as [0.98, 0.92, 0.99]",
        "share": "a number from 0 to 1",
        "numbers": "numbers with commas between",
        "23 ints": "23 whole numbers with commas between, one for each block of SDXL's U-Net",
        "23 numbers": "23 numbers with commas between, one for each block of SDXL's U-Net",
        "weights": f"numbers with commas between, or one of {', '.join(_PRESETS)}, with +number behind",
        "only True": "True: any other text, False too, counts as true. Leave it out for false",
    }.get(kind.rstrip("?"), f"one of {', '.join(kind.split('|'))}")
