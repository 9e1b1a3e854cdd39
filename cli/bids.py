"""The bid of the machine that a run is followed on: looked at every five minutes, and when it is lost."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Any, Final

from pulumi import automation as auto
from pydantic import ValidationError

from cli.project import reason
from components.errors import FraguaError
from components.vast.account import Account
from components.vast.lease import Lease

_EVERY: Final = 300.0


class Bids:
    """Changes the bid of a stack's machine in place where `bid: auto` rented it and that pays."""

    def __init__(self, stack: auto.Stack) -> None:
        """Ask nothing yet."""
        self._stack = stack
        self._said = SimpleQueue[str]()
        self._rates: dict[int, float] = {}
        self._next = time.monotonic() + _EVERY

    def look(self, machine: dict[str, Any], share: float) -> str | None:
        """Start a look where one is due, and return what the last one did.

        Vast.ai is asked in a thread of its own: however long it takes, the run is followed meanwhile.

        Args:
            machine: the outputs of its resource.
            share: what is left of the training, from 0 to 1.
        """
        if _bids(machine) and time.monotonic() > self._next:
            self._next = time.monotonic() + _EVERY
            threading.Thread(target=self._ask, args=(machine, share), daemon=True).start()
        try:
            return self._said.get_nowait()
        except Empty:
            return None

    def rescue(self, machine: dict[str, Any], share: float) -> str | None:
        """Raise the bid of a machine that may be outbid, where that is cheaper than renting another."""
        if not _bids(machine):
            return None
        self._ask(machine, share)
        return self.look({}, share)

    def limits(self, machine: dict[str, Any], before: float) -> str:
        """Return the limits of the machine's lease where they are not those that it was rented with.

        Args:
            machine: the outputs of its resource.
            before: $ that the run cost on other machines.
        """
        changed = int(machine["instance_id"]) in self._rates
        if not changed and not before:
            return ""
        return Lease.model_validate(machine.get("lease") or {}).limits(self.rate(machine), before)

    def rate(self, machine: dict[str, Any]) -> float:
        """Return $/h of the machine, GPUs and disk, at its bid now."""
        return self._rates.get(int(machine["instance_id"]), float(machine["price"]))

    def _ask(self, machine: dict[str, Any], share: float) -> None:
        try:
            values = self._stack.get_all_config()
            config = {name: each.value for name, each in values.items()}
            done = Account(config.get, machine["url"]).reconsider(machine, share)
        except auto.CommandError as error:
            self._said.put(f"the bid was not looked at: {reason(error)}")
            return
        except (FraguaError, ValidationError) as error:  # or another version of fragua rented it
            self._said.put(f"the bid was not looked at: {error}")
            return
        if done:
            self._rates[int(machine["instance_id"])] = done.rate
            self._said.put(done.why)


def _bids(machine: dict[str, Any]) -> bool:
    return machine.get("node", {}).get("bid") == "auto" and bool(machine.get("interruptible"))
