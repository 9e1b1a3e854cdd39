"""All stacks of the project at once, read from their states: which machines they have."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from pulumi import automation as auto

from cli.project import reason
from components.errors import FraguaError
from components.remote.shell import Login
from components.spec.node import Limits
from components.vast.lease import Lease
from components.vast.orphans import Machine, State
from components.vast.request import key_tag
from components.vast.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.vast.client import Api

_DYNAMIC: Final = "pulumi-python:dynamic/"
_STACK: Final = "pulumi:pulumi:Stack"
_INITIALISED: Final = ("encryptionsalt:", "secretsprovider:", "encryptedkey:")
"""What a stack's settings have once it was made."""
_MARGIN: Final = 300.0
"""Seconds that an `up` may take between what it waits for."""


@dataclass(frozen=True)
class Stack:
    """What a stack's state says.

    Attributes:
        state: its machines.
        urls: the base URL at which each machine was rented, by instance.
        logins: of its machines, by instance; empty where its secrets could not be read.
        outputs: of the stack, as its last `up` left them, without secrets.
    """

    state: State
    urls: dict[int, str] = field(default_factory=dict)
    logins: dict[int, Login] = field(default_factory=dict, repr=False)
    outputs: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Of the stack."""
        return self.state.stack


@dataclass(frozen=True)
class Survey:
    """All stacks that could be read, and in words what could not."""

    stacks: tuple[Stack, ...]
    unreadable: tuple[str, ...] = ()

    def states(self, url: str) -> list[State]:
        """Return what the stacks' states say of the machines at that base URL."""
        return [
            replace(
                each.state,
                machines=tuple(
                    machine for machine in each.state.machines if each.urls[machine.instance] == url
                ),
            )
            for each in self.stacks
        ]


def survey(root: Path) -> Survey:
    """Read the states of all stacks of the project in `root`, and of those that `train` and `demo` made.

    No passphrase is needed, but without it nothing can be asked of a machine over SSH. A backend that is not
    the one where machines were rented would make orphans of them all: one without any stack counts as
    unreadable, and so does a stack that was made here and is not in it.
    """
    stacks: list[Stack] = []
    workspace = auto.LocalWorkspace(work_dir=str(root))
    try:
        names = [each.name for each in workspace.list_stacks()]
    except auto.CommandError as error:
        return Survey((), (f"the backend: {reason(error)}", *_damaged(workspace)))
    unreadable = [] if names else ["the backend that is logged in to has no stack: is it the right one?"]
    with ThreadPoolExecutor(4) as pool:
        for name, read in zip(names, pool.map(lambda name: _read(workspace, name), names), strict=True):
            if isinstance(read, Stack):
                stacks.append(read)
            else:
                unreadable.append(f"stack {name}: {read}")
    unreadable += [
        f"stack {name}: {path} is its settings file, but the backend that is logged in to does not have it"
        for name, path in _settings(root)
        if name not in names and any(word in path.read_text(encoding="utf-8") for word in _INITIALISED)
    ]
    return Survey((*stacks, *_demo(root)), tuple(unreadable))


def _damaged(workspace: auto.LocalWorkspace) -> Iterator[str]:
    """Name the states that a backend in a folder could not read, since Pulumi does not.

    One of them is enough for it to list no stack.
    """
    with suppress(auto.CommandError):
        url = urlsplit(workspace.who_am_i().url)
        if url.scheme != "file":
            return
        folder = workspace.work_dir / Path(unquote(url.netloc + url.path)).expanduser() / ".pulumi" / "stacks"
        for path in sorted(folder.rglob("*.json")):
            try:
                json.loads(path.read_bytes())
            except (OSError, ValueError) as error:
                yield (
                    f"stack {path.stem}: {path} is no state: {error}. Pulumi reads no stack while it is so: "
                    f"put back {path.name}.bak beside it if that is whole, or an earlier copy"
                )


def account(root: Path) -> Api:
    """Open the account of VAST_API_KEY, else the one whose key the stacks' settings hold.

    Raises:
        FraguaError: there is no key, or stacks have several, or it cannot be decrypted.
    """
    if os.environ.get("VAST_API_KEY"):
        return Settings().api()
    found: set[tuple[str | None, ...]] = set()
    for name, path in _settings(root):
        if "vast:apiKey" not in path.read_text(encoding="utf-8"):
            continue
        try:
            values = auto.LocalWorkspace(work_dir=str(path.parent)).get_all_config(name)
        except auto.CommandError as error:
            raise FraguaError(f"{path}: vast:apiKey cannot be read: {reason(error)}") from None
        found.add(
            tuple(values[each].value if each in values else None for each in ("vast:baseUrl", "vast:apiKey"))
        )
    if len(found) > 1:
        raise FraguaError(
            "the stacks use several keys of Vast.ai: name the one that is meant by VAST_API_KEY"
        )
    url, key = next(iter(found), (None, None))

    def config(name: str) -> str | None:
        return {"vast:baseUrl": url, "vast:apiKey": key}.get(name)

    return Settings(config).api()


def _settings(root: Path) -> Iterator[tuple[str, Path]]:
    """Return name and settings file of each stack of the project and of what `train` made."""
    for folder in (root, *sorted((root / ".fragua" / "train").glob("*/"))):
        for path in sorted(folder.glob("Pulumi.*.yaml")):
            name = path.name.removeprefix("Pulumi.").removesuffix(".yaml")
            if not name.endswith(".lock"):
                yield name, path


def _demo(root: Path) -> list[Stack]:
    """Read what a demo left up. Its machines are simulated: what cannot be read there is no matter."""
    home = root / ".fragua" / "demo"
    backend = (home / "state").as_uri()
    if not (home / "state").is_dir() or os.environ.get("PULUMI_BACKEND_URL") == backend:
        return []
    variables = {"PULUMI_BACKEND_URL": backend, "PULUMI_CONFIG_PASSPHRASE": "demo"}
    try:
        workspace = auto.LocalWorkspace(work_dir=str(home / "project"), env_vars=variables)
        read = [_read(workspace, each.name) for each in workspace.list_stacks()]
    except auto.CommandError:
        return []
    return [each for each in read if isinstance(each, Stack)]


def _read(workspace: auto.LocalWorkspace, name: str) -> Stack | str:
    """Return what a stack's state says, or why it cannot be read."""
    try:
        deployment = workspace.export_stack(name).deployment
    except auto.CommandError:  # without the passphrase
        command = ["stack", "export", "--stack", name]
        try:
            done = workspace.pulumi_command.run(command, workspace.work_dir, workspace.env_vars)
        except auto.CommandError as error:
            return reason(error)
        deployment = json.loads(done.stdout)["deployment"]
    try:
        return stack_of(name, deployment or {})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"its state is not as fragua writes it ({type(error).__name__}: {error})"


def stack_of(name: str, deployment: Mapping[str, Any]) -> Stack:
    """Return what the exported state `deployment` of stack `name` says.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is not as fragua writes it.
    """
    resources = deployment.get("resources") or []
    keys = _of(resources, "vast:SshKey")
    private = _plain(keys[-1]["outputs"]["private_key"]) if keys else None
    rented = [
        (each, machine)
        for each in (*_of(resources, "vast:Instance"), *_of(resources, "vast:Gang"))
        if not each.get("delete") and each.get("id")
        for machine in each["outputs"].get("machines") or [each["outputs"]]
    ]
    pending = [each["resource"] for each in deployment.get("pending_operations") or []]
    waiting = [*_of(pending, "vast:Instance"), *_of(pending, "vast:Gang")]
    limits = [Limits.model_validate(each["inputs"]["node"].get("limits", {})) for each in waiting]
    state = State(
        stack=name,
        keys=tuple(key_tag(each["outputs"]["public_key"]) for each in keys),
        machines=tuple(_machine(each, found) for each, found in rented),
        renting=max((each.boot + each.ssh + _MARGIN for each in limits), default=0),
        trains=bool(_of(resources, "kohya:TrainingRun")),
    )
    logins = {
        int(found["instance_id"]): Login.of({**found, "private_key": private})
        for _, found in rented
        if private
    }
    urls = {int(found["instance_id"]): each["outputs"]["url"] for each, found in rented}
    [outputs] = [each.get("outputs") for each in resources if each["type"] == _STACK] or [None]
    return Stack(state, urls, logins, outputs or {})


def _of(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in resources if each["type"] == f"{_DYNAMIC}{kind}"]


def _machine(resource: dict[str, Any], found: dict[str, Any]) -> Machine:
    inputs = resource["inputs"]
    lease = Lease.model_validate(inputs.get("lease") or {})
    return Machine(
        instance=int(found["instance_id"]),
        name=resource["urn"].rpartition("::")[2],
        status=found["status"],
        boot=Limits.model_validate(inputs["node"].get("limits", {})).boot,
        max_time=lease.max_time,
        at_end=lease.at_end,
    )


def _plain(secret: Any) -> str | None:
    """Return a decrypted secret of an exported state; None where it is still encrypted."""
    return json.loads(secret["plaintext"]) if "plaintext" in secret else None
