"""From a job file and a stack's overrides to a job: the only reader of YAML.

Every problem is one line that names file, line and field, and the nearest right name for an unknown one.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args

import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from components.errors import SpecError
from components.spec.infer import InferJob
from components.spec.train import TrainJob

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Job: TypeAlias = TrainJob | InferJob
JOB: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])
_KINDS: dict[str, type[BaseModel]] = {"train": TrainJob, "infer": InferJob}

_Path: TypeAlias = tuple[str | int, ...]
_Places: TypeAlias = dict[_Path, str]


def load(path: Path, override: Mapping[str, Any] | None = None, override_from: str = "override") -> Job:
    """Read the job file at `path`, lay `override` over it and validate the result.

    Args:
        path: the job file.
        override: single values of the stack, nested as in the job file.
        override_from: what to call the override in messages, such as `Pulumi.train.yaml: override`.

    Raises:
        SpecError: with one line for each problem.
    """
    value, places = _read(path)
    for key, new in (override or {}).items():
        value[key] = _merged(value.get(key), new, (key,), places, override_from)
    try:
        return JOB.validate_python(value)
    except ValidationError as error:
        lines = [_describe(problem, value, places, path) for problem in error.errors()]
        raise SpecError("\n".join(lines)) from None


def _read(path: Path) -> tuple[dict[str, Any], _Places]:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        near = sorted(str(other) for other in path.parent.glob("*.yaml"))
        raise SpecError(f"{path}: no such job file. There are: {', '.join(near) or 'none'}") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SpecError(f"{path}{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not YAML: {error}") from None
    if not isinstance(root, yaml.MappingNode):
        raise SpecError(f"{path}: a job file is a mapping that begins with `kind: train` or `kind: infer`")
    places: _Places = {}
    return _construct(root, (), places, path), places


def _construct(node: yaml.Node, at: _Path, places: _Places, path: Path) -> Any:
    places[at] = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in mapping:
                raise SpecError(f"{path}:{line}: {_dotted((*at, key))}: given twice; keep one")
            mapping[key] = _construct(value_node, (*at, key), places, path)
            places[(*at, key)] = f"{path}:{line}"
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*at, index), places, path) for index, item in enumerate(node.value)]
    return yaml.SafeLoader("").construct_object(node)


def _merged(old: Any, new: Any, at: _Path, places: _Places, source: str) -> Any:
    places[at] = source
    if isinstance(new, dict):
        merged = dict(old) if isinstance(old, dict) else {}
        for key, value in new.items():
            merged[key] = _merged(merged.get(key), value, (*at, key), places, source)
        return merged
    return new


def _describe(problem: Any, value: dict[str, Any], places: _Places, path: Path) -> str:
    tagged = problem["loc"] and problem["loc"][0] in _KINDS
    at: _Path = tuple(problem["loc"][1:] if tagged else problem["loc"])
    place = next((places[at[:end]] for end in range(len(at), -1, -1) if at[:end] in places), str(path))
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return f"{place}: kind: must be one of {', '.join(_KINDS)}; found {value.get('kind')!r}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = _unknown_key(at, _KINDS[value["kind"]])
    elif problem["type"] == "missing":
        message = "required, but missing"
    elif at:
        message += f"; found {problem['input']!r}" if isinstance(problem["input"], str | int | float) else ""
    return f"{place}: {_dotted(at)}: {message}" if at else f"{place}: {message}"


def _unknown_key(at: _Path, model: type[BaseModel]) -> str:
    for part in at[:-1]:
        annotation = model.model_fields[str(part)].annotation
        options = [annotation, *get_args(annotation)]
        model = next(found for found in options if isinstance(found, type) and issubclass(found, BaseModel))
    known = list(model.model_fields)
    near = get_close_matches(str(at[-1]), known, n=1, cutoff=0.6)
    remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return f"unknown key; {remedy}"


def _dotted(at: _Path) -> str:
    return ".".join(str(part) for part in at)
