"""Renewing the leases of a stack's machines: on a person's word, and for as long as a command uses them."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from cli.project import known, selected
from components.errors import FraguaError, RemoteError
from components.remote.shell import Login
from components.vast.orphans import span
from components.vast.renewal import renew

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from components.vast.lease import LeaseStatus

_EVERY: Final = 60.0
_PATIENCE: Final = 10.0


def run(root: Path, stacks: list[str]) -> None:
    """Renew the leases of all machines of `stacks`, which are in use from now on, and say how each stands.

    Raises:
        FraguaError: a stack is not up, or a machine was not reached; the others were renewed.
    """
    lost = []
    for stack in stacks:
        for name, machine in known(selected(root, stack))["machines"].items():
            try:
                found = renew(Login.of(machine["login"]), used=True, patience=_PATIENCE)
                print(f"{stack}/{name}: {stands(found)}")
            except RemoteError as error:
                lost.append(f"{stack}/{name}: {error}")
    if lost:
        raise FraguaError("not renewed: " + "; ".join(lost))


def stands(found: LeaseStatus | None) -> str:
    """Say how a lease stands."""
    if found is None:
        return "it was rented without a lease, and ends only when you end it"
    if found.left is None:
        return "renewed; nothing ends it but you"
    return f"renewed; it ends itself in {span(found.left)} at the earliest ({found.by})"


def used(machine: dict[str, Any], stack: str) -> None:
    """Renew a machine's lease because a person goes there, and warn of how long it lasts.

    It is not renewed again for as long as they stay: a terminal that was left open must not bill for ever.
    """
    with suppress(RemoteError):  # which `ssh` itself will say better
        found = renew(Login.of(machine["login"]), used=True)
        if found and found.left is not None:
            print(f"{stands(found)}: `./fragua renew {stack}` gives it more time", file=sys.stderr)


@contextmanager
def kept(machines: dict[str, dict[str, Any]]) -> Iterator[None]:
    """Renew the leases of `machines`, by name as `known` has them, each minute meanwhile.

    One that is not reached is tried again in a minute: whoever uses it says what is wrong.
    """
    over = threading.Event()

    def keep() -> None:
        while True:
            for machine in machines.values():
                with suppress(RemoteError):
                    renew(Login.of(machine["login"]))
            if over.wait(_EVERY):
                return

    threading.Thread(target=keep, daemon=True).start()
    try:
        yield
    finally:
        over.set()
