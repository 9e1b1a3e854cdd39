"""Which nodes ComfyUI has, and whether a graph fits them: what it would refuse is said before. Pure.

A table has the shape of the server's `/object_info`. The packaged one was recorded from ComfyUI 0.3.64. It
lists no files (`ckpt_name` and the like), as they are each machine's own: those are checked against a live
table only. Of a class with null it knows but the name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from typing import Any, Final

from comfy.errors import Problem

Table = Mapping[str, Any]
"""Class -> its record in `/object_info`; None where only the name is known."""

_NUMBERS: Final = {"INT": int, "FLOAT": float}
_WIDGETS: Final = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "*"}
"""What a value may be given for; all else that a node can produce comes by a link."""


@cache
def load() -> Table:
    """Return the packaged table."""
    table: Table = json.loads(files("comfy").joinpath("data/nodes.json").read_text("utf-8"))
    return table


def near(name: str, known: Iterable[str]) -> str:
    """Return `; near: A, B` for a message about a name that is not known, or nothing."""
    matches = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; near: {', '.join(matches)}" if matches else ""


def inputs(record: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the inputs of a class, each as `[its type, {"min": ..., "max": ..., "options": ...}]`.

    ComfyUI serves a list of choices in two shapes; here both are `["COMBO", {"options": [...]}]`.
    """
    found = {}
    for need in ("required", "optional"):
        for name, spec in record["input"].get(need, {}).items():
            kind, settings = [*spec, {}][:2]
            combo = isinstance(kind, list)
            found[name] = ["COMBO", {**settings, "options": kind}] if combo else [kind, settings]
    return found


def validate(graph: Mapping[str, Any], table: Table) -> list[Problem]:
    """Return what is wrong with a graph in API format, by the server's own rules; nothing if it can run.

    As in the server, a node that no output needs is only asked for its class.
    """
    classes = {node: str(entry.get("class_type")) for node, entry in graph.items()}
    unknown = [
        Problem(node, kind, None, "unknown_class", f"there is no class {kind!r}{near(kind, table)}")
        for node, kind in classes.items()
        if kind not in table
    ]
    if unknown:
        return unknown
    outputs = [node for node, kind in classes.items() if table[kind] is None or table[kind]["output_node"]]
    if not outputs:
        return [Problem("", "", None, "prompt_no_outputs", "no node saves anything: add a SaveImage")]
    sources = _sources(graph, outputs)
    try:
        TopologicalSorter(sources).prepare()
    except CycleError as error:
        node, *_ = circle = error.args[1]
        message = f"the nodes feed each other in a circle: {' -> '.join(circle)}"
        return [Problem(node, classes[node], None, "cycle", message)]
    sockets = {kind for record in table.values() if record for kind in _types(record["output"])} - _WIDGETS
    problems = []
    for node in sources:
        record, given = table[classes[node]], graph[node].get("inputs", {})
        for name, spec in inputs(record).items() if record else ():
            if name not in given:
                found = (
                    ("required_input_missing", "is missing") if name in record["input"]["required"] else None
                )
            elif isinstance(given[name], list):
                found = _link_problem(given[name], spec, classes, table)
            else:
                found = _value_problem(given[name], spec, sockets)
            if found:
                problems.append(Problem(node, classes[node], name, found[0], f"{name} {found[1]}"))
    return problems


def _sources(graph: Mapping[str, Any], outputs: list[str]) -> dict[str, list[str]]:
    """Return the nodes that the outputs need, each with those that it links to."""
    sources: dict[str, list[str]] = {}
    waiting = list(outputs)
    while waiting:
        if (node := waiting.pop()) not in sources:
            links = [value for value in graph[node].get("inputs", {}).values() if isinstance(value, list)]
            ids = [link[0] for link in links if len(link) == 2 and isinstance(link[0], str)]
            sources[node] = [source for source in ids if source in graph]
            waiting += sources[node]
    return sources


def _types(kinds: Iterable[Any]) -> set[str]:
    """Return the single types: one may be written as `A,B`, and a list of choices is a COMBO."""
    return {
        name.strip() for kind in kinds for name in (kind.split(",") if isinstance(kind, str) else ["COMBO"])
    }


def _link_problem(
    link: list[Any], spec: list[Any], classes: Mapping[str, str], table: Table
) -> tuple[str, str] | None:
    """Say what is wrong with a link to another node's output."""
    if len(link) != 2:
        return "bad_linked_input", f"must be [node ID, number of an output], not {link}"
    node, slot = link
    if not isinstance(node, str) or node not in classes:
        return "bad_linked_input", f"links to node {node}, which is not there{near(str(node), classes)}"
    if (source := table[classes[node]]) is None:
        return None
    outputs = source["output"]
    if type(slot) is not int or not 0 <= slot < len(outputs):
        return (
            "bad_linked_input",
            f"links to output {slot} of {classes[node]} {node}, which has {len(outputs)}",
        )
    wanted, got = _types([spec[0]]), _types([outputs[slot]])
    if "*" not in wanted | got and not wanted & got:
        return (
            "return_type_mismatch",
            f"needs {spec[0]}; output {slot} of {classes[node]} {node} is {outputs[slot]}",
        )
    return None


def _value_problem(value: Any, spec: list[Any], sockets: set[str]) -> tuple[str, str] | None:
    """Say what is wrong with a value that is given in the graph itself."""
    kind, settings = spec
    if kind in sockets:
        return "bad_linked_input", f"needs a link that gives {kind}, not {value!r}"
    if number := _NUMBERS.get(kind):
        try:
            value = number(value)
        except (TypeError, ValueError, OverflowError):
            return "invalid_input_type", f"must be {kind}, not {value!r}"
        if "min" in settings and not value >= settings["min"]:
            return "value_smaller_than_min", f"is {value}; the least is {settings['min']}"
        if "max" in settings and not value <= settings["max"]:
            return "value_bigger_than_max", f"is {value}; the most is {settings['max']}"
    options = settings.get("options")
    if kind == "COMBO" and options is not None and value not in options:
        hint = (
            near(str(value), map(str, options)) or f"; there is {', '.join(map(str, options[:20])) or 'none'}"
        )
        return "value_not_in_list", f"is {value!r}, which is not there{hint}"
    return None
