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

_EVERY: Final = 300.0


class Bids:
    """Changes the bid of a stack's machine in place where `bid: auto` rented it and that pays."""

    def __init__(self, stack: auto.Stack) -> None:
        """Ask nothing yet."""
        self._stack = stack
        self._said = SimpleQueue[str]()
        self._rates: dict[int, float] = {}
        self._next = time.monotonic() + _EVERY

    def look(self, machine: dict[str, Any], share: float, spent: float = 0) -> str | None:
        """Start a look where one is due, and return what the last one did.

        Vast.ai is asked in a thread of its own: however long it takes, the run is followed meanwhile.

        Args:
            machine: the outputs of its resource, and its login.
            share: what is left of the training, from 0 to 1.
            spent: $ that the training cost until now.
        """
        if _bids(machine) and time.monotonic() > self._next:
            self._next = time.monotonic() + _EVERY
            threading.Thread(target=self._ask, args=(machine, share, spent), daemon=True).start()
        try:
            return self._said.get_nowait()
        except Empty:
            return None

    def rescue(self, machine: dict[str, Any], share: float, spent: float = 0) -> str | None:
        """Raise the bid of a machine that may be outbid, where that is cheaper than renting another."""
        if not _bids(machine):
            return None
        self._ask(machine, share, spent)
        return self.look({}, share)

    def changed(self, machine: dict[str, Any]) -> float | None:
        """Return $/h of the machine where its bid was changed here, GPUs and disk; None where it was not."""
        return self._rates.get(int(machine["instance_id"]))

    def rate(self, machine: dict[str, Any]) -> float:
        """Return $/h of the machine, GPUs and disk, at its bid now."""
        return self.changed(machine) or float(machine["price"])

    def _ask(self, machine: dict[str, Any], share: float, spent: float) -> None:
        try:
            values = self._stack.get_all_config()
            config = {name: each.value for name, each in values.items()}
            done = Account(config.get, machine["url"]).reconsider(machine, share, spent)
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
