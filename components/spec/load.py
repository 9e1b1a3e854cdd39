"""From a job file and a stack's overrides to a job: the only reader of YAML.

Every problem is one line that names file, line and field, and the nearest right name for an unknown one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

import yaml
from pydantic import BaseModel, ValidationError

from components.errors import SpecError
from components.spec.infer import InferJob
from components.spec.machine import MachineJob
from components.spec.train import TrainJob

if TYPE_CHECKING:
    from pathlib import Path

Job: TypeAlias = TrainJob | InferJob | MachineJob
KINDS: Final[dict[str, type[Job]]] = {"train": TrainJob, "infer": InferJob, "machine": MachineJob}
"""The model of each `kind`. Only the one that is asked for is ever built."""

_Path: TypeAlias = tuple[str | int, ...]
_Places: TypeAlias = dict[_Path, str]

_WORDS: Final = {
    "missing": "required, but missing",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list, such as [one, two]",
    "too_short": "must not be empty",
    "string_type": "must be text; put it in quotes",
    "float_parsing": "must be a number, without a unit",
    "int_parsing": "must be a whole number, without a unit",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "bool_parsing": "must be true or false",
}
"""pydantic's error types whose own message speaks of Python."""

_SHAPES: Final = {
    "^[A-Z]{2}$": "write a country's code, two capital letters such as ES",
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": "write at most 64 of a to z, A to Z, 0 to 9, '.', '_' and '-'",
    r"^[\w./-]+\.safetensors$": "name a .safetensors file of that repository",
    r"^[^\n]+\.safetensors$": "name a .safetensors file",
    r"^/\S+\.safetensors$": "name a .safetensors file by its whole path, such as /workspace/a.safetensors",
    r"^[^\n]+\.(safetensors|pth)$": "name a .safetensors or .pth file",
    r"^[^\n]+\.json$": "name a .json file",
    "^[a-z0-9][a-z0-9_-]{0,40}$": "write at most 41 of a to z, 0 to 9, '_' and '-'",
    "^[a-z0-9]+(-[a-z0-9]+)*$": "write words of a to z and 0 to 9 with hyphens between",
    r"^[\w.-]+/[\w.-]+$": "write OWNER/REPOSITORY, as its address ends at huggingface.co",
    "^[0-9a-f]{40}$": "write the commit's whole hash, 40 of 0 to 9 and a to f",
}
"""What text must be, by the pattern that it has to match."""


def load(path: Path, override: Mapping[str, Any] | None = None, override_from: str = "override") -> Job:
    """Return the job that `placed` returns, without its places."""
    return placed(path, override, override_from)[0]


def placed(
    path: Path, override: Mapping[str, Any] | None = None, override_from: str = "override"
) -> tuple[Job, Callable[[str], str]]:
    """Read the job file at `path`, lay `override` over it and validate the result.

    Args:
        path: the job file.
        override: single values of the stack, nested as in the job file.
        override_from: what to call the override in messages, such as `Pulumi.train.yaml: override`.

    Returns:
        The job, and a function that tells where a field of it stands, such as `configs/my.yaml:12: `.

    Raises:
        SpecError: with one line for each problem.
    """
    value, places = _read(path)
    if not isinstance(override or {}, Mapping):
        raise SpecError(f"{override_from}: must be a mapping with the job file's keys; found {override!r}")
    for key, new in (override or {}).items():
        value[key] = _merged(value.get(key), new, (key,), places, override_from)
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        place = places.get(("kind",), places[()])
        raise SpecError(f"{place}: kind: must be one of {', '.join(KINDS)}; found {kind!r}")
    try:
        return KINDS[kind].model_validate(value), lambda field: f"{_place(tuple(field.split('.')), places)}: "
    except ValidationError as error:
        problems = [each for each in error.errors() if not _follows(each, error.errors())]
        lines = [_describe(problem, value, places) for problem in problems]
        raise SpecError("\n".join(lines)) from None


def _read(path: Path) -> tuple[dict[str, Any], _Places]:
    places: _Places = {}
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        value = _construct(root, (), places, path) if root else None
    except FileNotFoundError:
        near = sorted(str(other) for other in path.parent.glob("*.yaml"))
        raise SpecError(f"{path}: no such job file. There are: {', '.join(near) or 'none'}") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        words = ", ".join(filter(None, (error.context, error.problem)))
        raise SpecError(f"{path}{line}: not YAML: {words}") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise SpecError(f"{path}: nested too deeply; does an alias contain itself?") from None
    if not isinstance(value, dict):
        raise SpecError(f"{path}: a job file is a mapping that begins with `kind: train` or `kind: infer`")
    return value, places


def _construct(node: yaml.Node, at: _Path, places: _Places, path: Path) -> Any:
    places[at] = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise SpecError(f"{path}:{line}: a key must be plain text, not a list or a mapping")
            key = str(key_node.value)
            if key in mapping:
                raise SpecError(f"{path}:{line}: {_dotted((*at, key))}: given twice; keep one")
            mapping[key] = _construct(value_node, (*at, key), places, path)
            places[(*at, key)] = f"{path}:{line}"
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*at, index), places, path) for index, item in enumerate(node.value)]
    if node.value == "" and node.tag.endswith(":null"):
        raise SpecError(
            f"{places[at]}: {_dotted(at)}: nothing is written here; write `{{}}` for the defaults of what is "
            "in it, `null` for none, or leave it out"
        )
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (ValueError, yaml.constructor.ConstructorError):
        kind = node.tag.rpartition(":")[2]
        raise SpecError(
            f"{places[at]}: {_dotted(at)}: {node.value!r} is no {kind}; put it in quotes if it is text"
        ) from None


def _merged(old: Any, new: Any, at: _Path, places: _Places, source: str) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        for replaced in [place for place in places if place[: len(at)] == at]:
            del places[replaced]
    places[at] = source
    if isinstance(new, dict):
        merged = dict(old) if isinstance(old, dict) else {}
        for key, value in new.items():
            merged[key] = _merged(merged.get(key), value, (*at, key), places, source)
        return merged
    return new


def _follows(problem: Any, problems: list[Any]) -> bool:
    """Tell whether a problem is there only because of another one of `problems`."""
    if problem["type"] == "too_short":  # also said of a list with one wrong item
        return bool(problem["input"])
    presets = [each["loc"][:-1] for each in problems if each["loc"][-1:] == ("preset",)]
    return problem["type"] == "missing" and any(problem["loc"][: len(at)] == at for at in presets)


def _describe(problem: Any, value: dict[str, Any], places: _Places) -> str:
    at: _Path = tuple(problem["loc"])
    found = problem["input"]
    message = _WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    message = _SHAPES.get(problem.get("ctx", {}).get("pattern"), message)
    if problem["type"] == "extra_forbidden":
        message = _unknown_key(at, KINDS[value["kind"]])
    elif problem["type"] != "value_error" and isinstance(found, str | int | float):
        message += f"; found {found!r}"
    # a message about several fields begins with one of them
    place = _place((*at, *message.split()[0].split(".")), places)
    return f"{place}: {_dotted(at)}: {message}" if at else f"{place}: {message}"


def _place(at: _Path, places: _Places) -> str:
    """Return where the innermost part of `at` stands that is written anywhere."""
    return next(places[at[:end]] for end in range(len(at), -1, -1) if at[:end] in places)


def _unknown_key(at: _Path, job: type[BaseModel]) -> str:
    model = job
    for part in at[:-1]:
        model = _model(model, str(part))
    known, key = list(model.model_fields), str(at[-1])
    homes = [part for part in ("node", "budget", "training") if part in job.model_fields]
    if home := next((part for part in homes if key in _model(job, part).model_fields), None):
        return f"unknown key here; it belongs to {home}"
    if others := [kind for kind, other in KINDS.items() if model is job and key in other.model_fields]:
        return f"unknown key here; it belongs to a job of kind {' or '.join(others)}"
    # as sd-scripts calls it, or misspelt
    within = sorted((name for name in known if key.endswith(f"_{name}")), key=len)
    near = within[-1:] or get_close_matches(key, known, n=1, cutoff=0.6)
    remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return f"unknown key; {remedy}"


def _model(model: type[BaseModel], part: str) -> type[BaseModel]:
    """Return the model of what a field holds, alone or several times; `model` for a place among several."""
    field = model.model_fields.get(part)
    return next(_models(field.annotation), model) if field else model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)


def _dotted(at: _Path) -> str:
    return ".".join(str(part) for part in at)
