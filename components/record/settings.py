"""The job's settings as lists, with a mark at what fragua chose, and why. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from components.record.markup import Markup, join, tag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import JsonValue


def settings(values: Mapping[str, JsonValue], derived: Sequence[str]) -> Markup:
    """Return a list for each piece of the job, and below them the reasons in `derived`."""
    groups: dict[str, list[Markup]] = {}
    for path, value in _flat("", dict(values)):
        group, dot, name = path.partition(".")
        chosen = any(_names(note, path) for note in derived)
        groups.setdefault(group if dot else "", []).append(
            tag(
                "div",
                tag("dt", name or group),
                tag("dd", value, class_="chosen" if chosen else None),
            )
        )
    lists = (
        tag("div", tag("h3", group or "job"), tag("dl", *pairs, class_="pairs"))
        for group, pairs in groups.items()
    )
    notes = tag("ul", *(tag("li", note) for note in derived), class_="notes")
    legend = tag("p", tag("span", "chosen by fragua", class_="chosen"), class_="aside")
    return join(tag("div", *lists, class_="groups"), *([legend, notes] if derived else []))


def _flat(path: str, value: JsonValue) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(f"{path}.{key}" if path else key, inner)
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        for index, inner in enumerate(value):
            yield from _flat(f"{path}[{index}]", inner)
    elif isinstance(value, list) and value:
        shown = [_shown(inner) for inner in value]
        yield path, ("\n" if any(" " in text and len(text) > 20 for text in shown) else ", ").join(shown)
    else:
        yield path, _shown(value)


def _shown(value: JsonValue) -> str:
    if value in (None, [], {}):
        return "none"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _names(note: str, path: str) -> bool:
    """Tell whether a note is about a setting: `a.b value: why`, or `a: b value, c value: why`."""
    where, _, rest = note.partition(": ")
    place, _, name = path.rpartition(".")
    return where.partition(" ")[0] == path or (
        where == place and bool(re.search(rf"(^|, ){re.escape(name)} ", rest.partition(": ")[0]))
    )
