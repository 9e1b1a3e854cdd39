"""Comparing old and new inputs: which property paths changed, and which force a replacement."""

import re
from collections.abc import Iterator
from typing import Any

from toolchain.command_plugin import values
from toolchain.command_plugin.protocol import provider_pb2
from toolchain.command_plugin.schema import ResourceSchema
from toolchain.command_plugin.values import Properties, Secret

_Path = tuple[str | int, ...]
_Kind = provider_pb2.PropertyDiff.Kind
_REPLACING = {_Kind.ADD: _Kind.ADD_REPLACE, _Kind.DELETE: _Kind.DELETE_REPLACE}
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def diff(schema: ResourceSchema, olds: Properties, news: Properties) -> provider_pb2.DiffResponse:
    """Says what a change of inputs means for a resource.

    A secret is compared as a whole, so a changed connection is one change and none of its
    fields shows. A value that is still unknown counts as changed.
    """
    detailed: dict[str, provider_pb2.PropertyDiff] = {}
    changed: set[str] = set()
    replacing: set[str] = set()
    for path, kind in _changes(olds, news, ()):
        name = str(path[0])
        changed.add(name)
        if not schema.updatable or schema.inputs[name].replaces:
            replacing.add(name)
            kind = _REPLACING.get(kind, _Kind.UPDATE_REPLACE)  # noqa: PLW2901 - same change
        detailed[_text(path)] = provider_pb2.PropertyDiff(kind=kind)
    outcomes = provider_pb2.DiffResponse
    return provider_pb2.DiffResponse(
        changes=outcomes.DIFF_SOME if detailed else outcomes.DIFF_NONE,
        diffs=sorted(changed),
        replaces=sorted(replacing),
        detailedDiff=detailed,
        hasDetailedDiff=True,
    )


def _changes(old: Any, new: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    if _is_object(old) and _is_object(new):
        for key in sorted(old.keys() | new.keys()):
            yield from _changes(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            here = (*path, index)
            if index >= len(old):
                yield here, _Kind.ADD
            elif index >= len(new):
                yield here, _Kind.DELETE
            else:
                yield from _changes(old[index], new[index], here)
    elif not _same(old, new):
        if old is None:
            yield path, _Kind.ADD
        elif new is None:
            yield path, _Kind.DELETE
        else:
            yield path, _Kind.UPDATE


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not values.is_signed(value)


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, Secret) and isinstance(new, Secret):
        return next(_changes(old.value, new.value, ()), None) is None
    if values.is_signed(old) and values.is_signed(new, old[values.SIGNATURE]):
        content = old.get("hash")
        if content:
            return bool(content == new.get("hash"))
    return type(old) is type(new) and bool(old == new)


def _text(path: _Path) -> str:
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _IDENTIFIER.fullmatch(step):
            text += f".{step}" if text else step
        else:
            quoted = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{quoted}"]'
    return text
