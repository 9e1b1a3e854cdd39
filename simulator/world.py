"""The simulated world: one clock, one market, one account, and the order in which things happen."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from simulator.account import Account
from simulator.admission import Admission
from simulator.auth import Keys
from simulator.clock import Clock
from simulator.contracts import Contract, Contracts
from simulator.hosts import Hosts, MakeHost
from simulator.ledger import Ledger, nano
from simulator.lifecycle import Lifecycle
from simulator.machine.filesystem import Files
from simulator.market import Market, Orders
from simulator.results import Results
from simulator.specs import machine_spec
from simulator.store import Store
from simulator.templates import Templates
from simulator.volumes import Volumes

if TYPE_CHECKING:
    from pathlib import Path

START_CREDIT = 100.0


class World:
    """Everything there is, stored under one folder.

    Attributes:
        machine_faults: what the control plane broke, by machine id; overrides hidden faults.
    """

    def __init__(self, data: Path, *, seed: int, scale: float, calm: bool, make_host: MakeHost) -> None:
        """Open the world kept in `data`, or make a new one.

        Virtual time stands still while no simulator runs on the folder.
        """
        self._data = data
        data.mkdir(parents=True, exist_ok=True)
        self.store = Store(data / "simulator.sqlite")
        self.clock = Clock(scale, self.store.setting("now"))
        self.seed = int(self.store.setting("seed", seed))
        epoch = float(self.store.setting("epoch", self.clock.now()))
        self.store.set_setting("seed", self.seed)
        self.store.set_setting("epoch", epoch)
        self.market = Market(self.seed, epoch, calm=calm)
        self.market.orders = _load_orders(self.store)
        self.ledger = Ledger(self.store)
        self.keys = Keys(self.store)
        self.account = Account(self.store)
        self.templates = Templates(self.store)
        self.contracts = Contracts(self.store)
        self.hosts = Hosts(make_host, self.clock, data / "machines")
        self.volumes = Volumes(self.store, self.ledger)
        self.results = Results()
        self.admission = Admission(self.market, self.ledger, self.contracts)
        self.lifecycle = Lifecycle(
            self.market, self.ledger, self.contracts, self.admission, self.hosts, self.settle
        )
        self.machine_faults: dict[int, str | None] = {
            int(number): fault for number, fault in self.store.setting("machine faults", {}).items()
        }
        self._settled = self.clock.now()
        if self.ledger.deposits() == []:
            self.ledger.deposit(self._settled, nano(START_CREDIT), "initial credit")

    def resume(self) -> None:
        """Bring back the machines of a world that was closed, or killed."""
        now = self.settle()
        for contract in self.contracts.live():
            self.lifecycle.resume(contract, now)

    def settle(self) -> float:
        """Let everything happen that is due, in order, and return the present."""
        now = self.clock.now()
        while (at := self._next_event()) <= now:
            self._settled = at
            self._happen(at)
        self._settled = max(self._settled, now)
        for contract in self.contracts.live():
            self.lifecycle.count_traffic(contract, now)
        return now

    async def advance(self, seconds: float) -> float:
        """Jump ahead, stopping at each event so that machines can boot in between."""
        end = self.settle() + seconds
        while True:
            now = self.settle()
            if self.hosts.busy:
                await self.hosts.idle()
                continue
            if now >= end:
                return now
            self.clock.advance(max(0.0, min(self._next_event(), end) - now))

    def checkpoint(self) -> None:
        """Write down the time and the open charges, so that a kill loses next to nothing."""
        now = self.settle()
        self.ledger.checkpoint(now)
        self.store.set_setting("now", now)

    def save_orders(self) -> None:
        """Store what people did to the market and to machines."""
        orders = asdict(self.market.orders)
        orders["delisted"] = sorted(orders["delisted"])
        self.store.set_setting("orders", orders)
        self.store.set_setting("machine faults", self.machine_faults)

    def review_all(self) -> None:
        """Let the market act on every contract now."""
        now = self.settle()
        for contract in self.contracts.live():
            self.lifecycle.review(contract, now)

    def destroy(self, contract_id: int, now: float) -> None:
        """Destroy a contract and its container's key; one that is gone is fine."""
        contract = self.contracts.get(contract_id)
        if contract is not None:
            self.lifecycle.destroy(contract, now)
            self.keys.revoke_instance(contract_id)

    def disk(self, contract: Contract) -> Path:
        """Return the folder that is the root of the contract's file tree."""
        root = self._data / "machines" / str(contract.id)
        return Files(root, machine_spec(contract), None).tree

    def faults_of(self, machine_id: int) -> list[str]:
        """Return what is wrong with a machine."""
        if machine_id in self.machine_faults:
            fault = self.machine_faults[machine_id]
        else:
            machine = self.market.machine(machine_id)
            fault = machine.hidden_fault if machine and not self.market.calm else None
        return [fault] if fault else []

    async def close(self) -> None:
        """Stop the machines and close the store; contracts stay as they are."""
        self.checkpoint()
        await self.hosts.close()
        self.store.close()

    def _next_event(self) -> float:
        live = self.contracts.live()
        if not live:
            return math.inf
        times = [contract.due for contract in live if contract.due is not None]
        times.append(self.market.next_step(self._settled))
        if any(contract.cur_state == "running" and not contract.offline for contract in live):
            times.append(max(self._settled, self.ledger.exhausted_at(self._settled)))
        return min(times)

    def _happen(self, at: float) -> None:
        for contract in self._due(at):
            self.lifecycle.step(contract, at)
        for contract in self.contracts.live():
            self.lifecycle.review(contract, at)

    def _due(self, at: float) -> list[Contract]:
        due = [c for c in self.contracts.live() if c.due is not None and c.due <= at]
        return sorted(due, key=lambda contract: contract.due or at)


def _load_orders(store: Store) -> Orders:
    stored = store.setting("orders")
    if stored is None:
        return Orders()
    return Orders(
        price_factor=stored["price_factor"],
        rentals={int(index): count for index, count in stored["rentals"].items()},
        taken={int(index): until for index, until in stored["taken"].items()},
        delisted=set(stored["delisted"]),
    )
