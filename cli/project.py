"""The project as the Automation API drives it: stacks, their outputs, and what the engine says meanwhile."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from pulumi import automation as auto

from components.errors import FraguaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pulumi.automation.events import EngineEvent

_KEY: Final = "pulumi-python:dynamic/vast:SshKey"
_MACHINE: Final = "pulumi-python:dynamic/vast:Instance"
_RUN: Final = "pulumi-python:dynamic/kohya:TrainingRun"
_DECLARED: Final = ("node", "purchase", "lease")
"""Inputs of a machine whose changes leave it as it is, so that its outputs keep the old ones."""

_DECORATION = re.compile(r"<\{%[^%]*%\}>|Exception calling application: ")
_NOISE = ("update failed", "using pulumi-resource-")

_LOGGED_OUT: Final = (
    "no Pulumi backend is logged in to: run `./fragua pulumi login`, or set PULUMI_BACKEND_URL, or for "
    "Pulumi Cloud PULUMI_ACCESS_TOKEN"
)


def outputs(root: Path, stack: str, needed: str = "login") -> dict[str, Any]:
    """Return what `known` tells of `stack`.

    Raises:
        FraguaError: there is no such stack, or it is not up, or it has no output `needed`.
    """
    found = known(selected(root, stack))
    if needed not in found:
        raise FraguaError(
            f"stack {stack} has no {needed}: is its job of the right kind, and did its `pulumi up` succeed?"
        )
    return found


def selected(root: Path, stack: str) -> auto.Stack:
    """Return the stack of that name.

    Raises:
        FraguaError: there is none.
    """
    try:
        return auto.select_stack(stack, work_dir=str(root))
    except auto.CommandError as error:
        raise FraguaError(reason(error)) from None


def known(stack: auto.Stack) -> dict[str, Any]:
    """Return the outputs of `stack`, and from its state what they do not tell.

    That is `machines`: by name (`node`, `node-2`, ...), `login`, `status`, `url` of the market, whether it is
    `interruptible`, `urn` and `props` (its resource's outputs, with the inputs of now) of each; the same of
    the first one, by themselves; and `launch` of its training, None where it has none.

    A login is read from the state instead of being exported: Pulumi's SDK writes what a program exports,
    secrets too, to debug logs.

    Raises:
        FraguaError: it is not up.
    """
    resources = (stack.export_stack().deployment or {}).get("resources", [])
    state = {each["type"]: each.get("outputs", {}) for each in resources}
    rented = [each for each in resources if each["type"] == _MACHINE and not each.get("delete")]
    key = json.loads(state[_KEY]["private_key"]["plaintext"]) if rented else ""
    machines = {each["urn"].rpartition("::")[2]: _machine(each, key) for each in rented}
    if "node" not in machines:
        raise FraguaError(f"stack {stack.name} is not up: run `pulumi up -s {stack.name}` first")
    return {
        **machines["node"],
        "machines": machines,
        "launch": state.get(_RUN, {}).get("launch"),
        **{name: output.value for name, output in stack.outputs().items()},
    }


def _machine(resource: dict[str, Any], private_key: str) -> dict[str, Any]:
    found, declared = resource["outputs"], resource.get("inputs", {})
    login = {name: found[name] for name in ("host", "port", "host_key")}
    return {
        "login": {**login, "private_key": private_key},
        "status": found["status"],
        "url": found.get("url"),
        "interruptible": found.get("interruptible"),
        "urn": resource["urn"],
        "props": {**found, **{name: declared[name] for name in _DECLARED if name in declared}},
    }


def lay_out(root: Path, folder: Path) -> None:
    """Make `folder` a Pulumi project of its own that runs the program at `root`.

    Its stacks' settings stay in `folder`, so that nothing is written beside the project's tracked files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = (root / "Pulumi.yaml").read_text(encoding="utf-8")
    (folder / "Pulumi.yaml").write_text(f"main: program\n{text}", encoding="utf-8")
    (folder / "program").unlink(missing_ok=True)
    (folder / "program").symlink_to(root, target_is_directory=True)


def listener(heard: Callable[[str], None]) -> Callable[[EngineEvent], None]:
    """Return an event handler that passes on what providers and errors say, line by line."""

    def on_event(event: EngineEvent) -> None:
        if event.diagnostic_event and event.diagnostic_event.severity != "debug":
            for line in _DECORATION.sub("", event.diagnostic_event.message).splitlines():
                if line.strip() and not any(words in line for words in _NOISE):
                    heard(line.strip())

    return on_event


def reason(error: auto.CommandError) -> str:
    """Return the engine's own error lines of a failed command, without the rest of its output."""
    errors = [line for line in re.findall(r"error: (.+)$", str(error), re.MULTILINE) if line not in _NOISE]
    said = _DECORATION.sub("", errors[0] if errors else str(error))
    return _LOGGED_OUT if "PULUMI_ACCESS_TOKEN must be set" in said else said
