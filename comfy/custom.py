"""A person's own workflow: a graph in API format, and which of its inputs a request may set. Pure."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model, model_validator

from comfy.graph import Graph
from comfy.nodes import inputs, load, near, validate
from comfy.parameters import (
    FileName,
    Limits,
    Parameters,
    Prompt,
    Workflow,
    bounds,
    few_pixels,
    one_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXPORT: Final = "open it in ComfyUI and choose Export (API) in the workflow menu"
_KINDS: Final = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool, "COMBO": str}
_SETTINGS = ConfigDict(frozen=True, extra="forbid")


class Place(BaseModel):
    """An input of a node.

    Attributes:
        node: its ID in the graph.
        input: the input's name.
    """

    model_config = _SETTINGS

    node: str = Field(coerce_numbers_to_str=True)
    input: str


class Input(Place):
    """A parameter of requests, and where in the graph it goes.

    Attributes:
        also: more places that get the same value.
        default: where a request says nothing; otherwise it is what the graph says, `prompt` and `image` are
            required, and `seed` is drawn.
        minimum: the least number; the node's own bounds and the gateway's limits hold as well.
        maximum: the most.
        multiple: whole numbers are multiples of it.
        choices: all that may be said.
        description: for a person.
    """

    also: tuple[Place, ...] = ()
    default: bool | int | float | str | None = None
    minimum: float | None = None
    maximum: float | None = None
    multiple: int | None = Field(None, ge=1)
    choices: tuple[bool | int | float | str, ...] | None = Field(None, min_length=1)
    description: str = ""

    @property
    def places(self) -> tuple[Place, ...]:
        """Everywhere that the value goes."""
        return (self, *self.also)


class Custom(BaseModel):
    """A workflow of a person's own.

    Attributes:
        name: words joined by hyphens.
        description: one sentence.
        graph: as ComfyUI exports it in API format; `read_graph` reads the file.
        inputs: parameter -> where it goes. prompt, negative_prompt, width, height, steps, cfg, seed, batch
            and image mean what they do in the other workflows.
        allow: classes of custom nodes; without, only ComfyUI's own may be used.
    """

    model_config = _SETTINGS

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)
    description: str = ""
    graph: Graph
    inputs: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")], Input]
    allow: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := [*(_shape(self.graph) or self._graph_problems() or self._input_problems())]:
            raise ValueError("; ".join(problems))
        return self

    def _graph_problems(self) -> list[str]:
        table = {**dict.fromkeys(self.allow), **load()}
        classes = {node: entry["class_type"] for node, entry in self.graph.items()}
        refused = [
            f"node {node}: {kind!r} is no class of ComfyUI's own{near(kind, table)}; "
            "if it comes from custom nodes that you trust, add it to allow"
            for node, kind in classes.items()
            if kind not in table
        ]
        if "SaveImage" not in classes.values():
            refused.append("no SaveImage is in the graph, so no image would come back: end it with one")
        return refused or [str(problem) for problem in validate(self.graph, table)]

    def _input_problems(self) -> Iterator[str]:
        for name, given in self.inputs.items():
            if name in {"workflow", "enhance"} or hasattr(BaseModel, name):
                yield f"inputs.{name}: the name is taken: choose another"
            for place in given.places:
                if (entry := self.graph.get(place.node)) is None:
                    there = near(place.node, self.graph) or f"; there is {', '.join(self.graph)}"
                    yield f"inputs.{name}: node {place.node} is not in the graph{there}"
                    continue
                known = {**entry["inputs"], **inputs(load().get(entry["class_type"]) or {"input": {}})}
                if place.input not in known:
                    there = near(place.input, known) or f"; there is {', '.join(known)}"
                    at = f"{entry['class_type']} {place.node}"
                    yield f"inputs.{name}: {at} has no input {place.input!r}{there}"
                elif place.input == "filename_prefix":
                    yield f"inputs.{name}: the prefix of files is chosen for each request: leave it out"


def read_graph(text: str) -> Graph:
    """Return the graph in a workflow file.

    Raises:
        ValueError: it is no workflow in API format; the message says what to do.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is no workflow of ComfyUI, as it is not JSON: {error}") from None
    if isinstance(found, dict) and "nodes" in found and "links" in found:
        raise ValueError(f"this workflow is in the editor's format, which can't be run: {_EXPORT}")
    if problems := _shape(found):
        raise ValueError(f"this is no workflow in API format: {problems[0]}; to get one, {_EXPORT}")
    graph: Graph = found
    return graph


def _shape(graph: Any) -> list[str]:
    """Say what keeps JSON from being a graph in API format."""
    if not isinstance(graph, dict) or not graph:
        return ["it is not an object that holds nodes"]
    return [
        f"{node!r} is no node with a class_type and inputs"
        for node, entry in graph.items()
        if not isinstance(entry, dict)
        or not isinstance(entry.get("class_type"), str)
        or not isinstance(entry.get("inputs"), dict)
    ]


def workflow(custom: Custom, limits: Limits) -> Workflow:
    """Return the workflow, its parameters bounded by their nodes, by what the person says and by the limits.

    Raises:
        ValueError: an input's type, choices or default don't go together; the message names it.
    """

    def build(parameters: BaseModel, prefix: str) -> Graph:
        graph = deepcopy(custom.graph)
        for name, given in custom.inputs.items():
            for place in given.places:
                graph[place.node]["inputs"][place.input] = getattr(parameters, name)
        for entry in graph.values():
            if "filename_prefix" in entry["inputs"]:
                entry["inputs"]["filename_prefix"] = prefix
        return graph

    fields: dict[str, Any] = {}
    for name, given in custom.inputs.items():
        try:
            fields[name] = _field(name, given, custom.graph, limits)
        except ValueError as error:
            raise ValueError(f"workflow {custom.name}, inputs.{name}: {error}") from None
    title = "".join(word.capitalize() for word in custom.name.split("-"))
    parameters = create_model(title, __base__=Parameters, __validators__=few_pixels(limits), **fields)
    images = tuple(name for name, given in custom.inputs.items() if _is_image(name, given, custom.graph))
    return Workflow(custom.name, custom.description, parameters, build, images)


def _is_image(name: str, given: Input, graph: Graph) -> bool:
    """Whether an input is the name of an uploaded file."""
    loaders = {"LoadImage", "LoadImageMask"}
    return name == "image" or (given.input == "image" and graph[given.node]["class_type"] in loaders)


def _field(name: str, given: Input, graph: Graph, limits: Limits) -> tuple[Any, Any]:
    """Return the type and the field of a parameter."""
    image = _is_image(name, given, graph)
    written = graph[given.node]["inputs"].get(given.input)
    usual = None if image or name in {"prompt", "seed"} or isinstance(written, list) else written
    default = usual if given.default is None else given.default
    specs = [_spec(place, graph) for place in given.places]
    kinds = {kind for kind, _ in specs} - {None}
    if len(kinds) > 1:
        raise ValueError(f"its places take {' and '.join(sorted(kinds))}: make an input of each")
    kind = kinds.pop() if kinds else None
    if image and kind not in {None, "COMBO", "STRING"}:
        raise ValueError("a parameter of this name is an uploaded image's file name: choose another name")
    accepted = FileName if image else _accepted(name, given, specs, kind, written, limits)
    if given.choices:
        accepted = one_of(_checked(choice, accepted) for choice in given.choices)
    if default is not None:
        default = _checked(default, accepted)
    if name == "seed":
        return accepted | None, Field(default, description=given.description)
    return accepted, Field(... if default is None else default, description=given.description)


def _checked(value: Any, accepted: Any) -> Any:
    try:
        return TypeAdapter(accepted).validate_python(value, strict=True)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise ValueError(f"{value!r} can't be there: {message}; give another default or choice") from None


def _spec(place: Place, graph: Graph) -> list[Any]:
    """Return the type and settings of an input; the type is None where the table does not know it."""
    record = load().get(graph[place.node]["class_type"])
    return inputs(record).get(place.input, [None, {}]) if record else [None, {}]


def _accepted(
    name: str, given: Input, specs: list[list[Any]], kind: str | None, written: object, limits: Limits
) -> Any:
    """Return the type of all values that a parameter's places take."""
    python = type(written) if kind is None else _KINDS.get(kind)
    if python not in _KINDS.values():
        raise ValueError("only a link can go there: choose an input that holds a value")
    if name in bounds(limits) and python not in {int, float}:
        raise ValueError("a parameter of this name is a number in every workflow: choose another name")
    if kind == "COMBO":
        if lists := [settings["options"] for _, settings in specs if "options" in settings]:
            return one_of(option for option in lists[0] if all(option in each for each in lists))
        if not given.choices:
            raise ValueError("it chooses among files: list under choices those that a request may choose")
        return str
    narrowing = {"ge": given.minimum, "le": given.maximum, "multiple_of": given.multiple}
    if python in {int, float}:
        sources = [
            bounds(limits).get(name, {}),
            narrowing,
            *({"ge": s.get("min"), "le": s.get("max")} for _, s in specs),
        ]
        found = {}
        for key, narrower in (("ge", max), ("le", min), ("multiple_of", math.lcm)):
            if values := [source[key] for source in sources if source.get(key) is not None]:
                found[key] = reduce(narrower, values)
        return Annotated[python, Field(**found)]
    if any(value is not None for value in narrowing.values()):
        raise ValueError("minimum, maximum and multiple are for numbers: leave them out")
    return Prompt if python is str else bool
