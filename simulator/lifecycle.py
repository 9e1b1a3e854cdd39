"""The life of a contract in virtual time: provisioning, running, outbid, offline, destroyed.

Every transition goes through `_change`, which stores it, records the status and bills from that
second on. It knows nothing of HTTP.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from simulator.images import pull_seconds
from simulator.ledger import nano
from simulator.offers import disk_per_hour
from simulator.specs import machine_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.admission import Admission
    from simulator.contracts import Contract, Contracts
    from simulator.hosts import Hosts
    from simulator.ledger import Ledger
    from simulator.machine.spec import Host
    from simulator.market import Market

PROVISION = 2.0
CREATE = 3.0
START = 4.0
HALT = 2.0
SLOW_FACTOR = 6.0
DAEMON_LINES = 200
KEYS_REWRITTEN_EVERY = 6 * 3600.0
RUNNING = ("running", "frozen")


class Lifecycle:
    """Moves contracts from state to state."""

    def __init__(
        self,
        market: Market,
        ledger: Ledger,
        contracts: Contracts,
        admission: Admission,
        hosts: Hosts,
        settle: Callable[[], float],
    ) -> None:
        """Work on these; `settle` brings the world up to the present and returns its time."""
        self._market, self._ledger, self._contracts = market, ledger, contracts
        self._admission, self._hosts = admission, hosts
        self._settle = settle

    # What the account asks for

    def begin(self, contract: Contract, at: float) -> None:
        """Start the life of a new contract."""
        contract.proxy_port = self._hosts.prepare(machine_spec(contract)).proxy_port
        self._contracts.record(contract, at)
        if contract.intended == "running" and not self._admission.obstacle(contract, at):
            self._change(contract, at, cur_state="running", phase="create", due=at + PROVISION)
        elif contract.intended == "running":
            self._change(
                contract, at, actual=_halted(contract), status_msg=self._admission.obstacle(contract, at)
            )
        else:
            self._change(contract, at, next_state="stopped", phase="halt", due=at + PROVISION)

    def start(self, contract: Contract, at: float) -> None:
        """Run a stopped contract as soon as its GPUs can be had."""
        self._change(contract, at, intended="running", next_state="running")
        if contract.cur_state == "running" and contract.actual == "exited":
            self._boot_soon(contract, at)
        self._schedule(contract, at)

    def stop(self, contract: Contract, at: float) -> None:
        """Halt a contract and give its GPUs back."""
        self._change(contract, at, intended="stopped", cur_state="stopped", next_state="stopped")
        if contract.phase != "halt" and contract.actual not in ("stopped", "exited"):
            self._change(contract, at, phase="halt", due=at + HALT)

    def reboot(self, contract: Contract, at: float) -> None:
        """Stop and start the container; the GPUs stay."""
        self._halt(contract, at, "rebooting")
        self._change(contract, at, phase="boot", due=at + START)

    def recycle(self, contract: Contract, at: float) -> None:
        """Make the container anew from a fresh pull; its files are lost."""
        if contract.cur_state == "running":
            self._halt(contract, at, "recycling")
            self._change(contract, at, phase="load", due=at + PROVISION)
        self._hosts.remove(contract.id)
        self._change(contract, at, pulled=False)

    def rebid(self, contract: Contract, at: float, price: float) -> None:
        """Change the bid; a losing contract may run again at once."""
        self._change(contract, at, bid=price, dph_base=price)
        self.review(contract, at)

    def destroy(self, contract: Contract, at: float) -> None:
        """End the contract; nothing is billed after `at`."""
        self.count_traffic(contract, at)
        for kind in ("bwd", "bwu"):
            self._ledger.close(contract.id, kind, at)
        self._hosts.remove(contract.id)
        self._change(
            contract, at, destroyed_at=at, cur_state="unloaded", next_state="unloaded",
            phase=None, due=None, boots=contract.boots + 1,
        )  # fmt: skip

    # What happens to it

    def step(self, contract: Contract, at: float) -> None:
        """Make the transition that is due."""
        phase = contract.phase
        self._change(contract, at, phase=None, due=None)
        if phase == "create":
            self._change(contract, at, actual="created", phase="load", due=at + CREATE)
        elif phase == "load":
            self._load(contract, at)
        elif phase == "boot":
            self._boot(contract, at)
        elif phase == "halt":
            self._halt(contract, at, _halted(contract))

    def review(self, contract: Contract, at: float) -> None:
        """Let the market act on the contract: outages, bids, free GPUs, the end of its term."""
        machine = self._market.machine(contract.machine_id)
        up = not contract.forced_offline and (machine is None or self._market.is_online(machine, at))
        if up == contract.offline:
            self._online(contract, at) if up else self._offline(contract, at)
        if contract.offline:
            return
        if contract.cur_state == "running" and self._admission.obstacle(contract, at):
            self._preempt(contract, at)
        self._schedule(contract, at)
        if at - contract.keys_written >= KEYS_REWRITTEN_EVERY:
            self.write_keys(contract, at)

    def exit(self, contract: Contract, at: float) -> None:
        """Let the container's main process end."""
        self._halt(contract, at, "exited")
        self._change(contract, at, status_msg="exited (1)")

    def resume(self, contract: Contract, at: float) -> None:
        """Bring the machine back after the simulator was restarted."""
        proxy_port = self._hosts.prepare(machine_spec(contract)).proxy_port
        self._change(contract, at, running_since=None, ports={}, proxy_port=proxy_port)
        waits = contract.offline or contract.phase is not None or not contract.pulled
        if not waits and contract.cur_state == "running" and contract.actual != "exited":
            self._boot_soon(contract, at)

    def remap_ports(self, contract: Contract) -> None:
        """Restart the machine's network on other public ports; the contract goes on."""
        if contract.actual == "running":
            self._hosts.halt(contract.id)
            self._order_boot(contract)

    def write_keys(self, contract: Contract, at: float) -> None:
        """Rewrite authorized_keys in the machine."""
        if (host := self._hosts.get(contract.id)) is not None:
            host.set_authorized_keys([key["public_key"] for key in contract.ssh_keys])
        self._change(contract, at, keys_written=at)

    def count_traffic(self, contract: Contract, at: float) -> None:
        """Bill what crossed the machine's link since the last count."""
        down, up = self._hosts.new_traffic(contract.id)
        self._ledger.count(contract.id, "bwd", at, nano(contract.offer["inet_down_cost"]), down)
        self._ledger.count(contract.id, "bwu", at, nano(contract.offer["inet_up_cost"]), up)

    # Transitions

    def _schedule(self, contract: Contract, at: float) -> None:
        waits = contract.intended == "running" and contract.cur_state == "stopped"
        if waits and not contract.offline and not self._admission.obstacle(contract, at):
            if contract.phase == "halt":
                self.step(contract, at)
            self._change(contract, at, cur_state="running", next_state="running")
            if contract.pulled:
                self._boot_soon(contract, at)
            else:
                self._change(contract, at, actual="created", phase="load", due=at + PROVISION)

    def _boot_soon(self, contract: Contract, at: float) -> None:
        self._change(contract, at, actual="loading", phase="boot", due=at + START)

    def _load(self, contract: Contract, at: float) -> None:
        if "never_running" in contract.faults:
            text = "Error: OCI runtime create failed: unable to start container process"
            self._change(contract, at, actual="created", status_msg=text)
            return
        self._change(contract, at, actual="loading", status_msg=f"Pulling {contract.image}")
        if "stuck_loading" not in contract.faults:
            seconds = pull_seconds(contract.image, contract.offer["inet_down"])
            slow = SLOW_FACTOR if "slow_boot" in contract.faults else 1.0
            self._change(contract, at, phase="boot", due=at + seconds * slow)

    def _boot(self, contract: Contract, at: float) -> None:
        self._change(contract, at, pulled=True, status_msg="Starting the container")
        self._order_boot(contract)

    def _order_boot(self, contract: Contract) -> None:
        contract.boots += 1
        serial = contract.boots

        def answer(host: Host | None, problem: str) -> None:
            at = self._settle()
            if serial == contract.boots and contract.cur_state == "running":
                self._booted(contract, at, host, problem)

        keys = [key["public_key"] for key in contract.ssh_keys]
        self._hosts.boot(machine_spec(contract), keys, answer)

    def _booted(self, contract: Contract, at: float, host: Host | None, problem: str) -> None:
        if host is None:
            text = f"Error response from daemon: {problem}"
            self._change(contract, at, actual="created", status_msg=text)
            return
        self._change(
            contract, at, actual="running", ports=dict(host.ports), proxy_port=host.proxy_port,
            running_since=contract.running_since or at, keys_written=at,
            status_msg=f"success, running {contract.image}/ssh",
        )  # fmt: skip

    def _preempt(self, contract: Contract, at: float) -> None:
        why = self._admission.obstacle(contract, at)
        self._halt(contract, at, _halted(contract))
        self._change(contract, at, cur_state="stopped", next_state="stopped", status_msg=why)

    def _halt(self, contract: Contract, at: float, status: str) -> None:
        self.count_traffic(contract, at)
        self._hosts.halt(contract.id)
        self._change(
            contract, at, actual=status, phase=None, due=None, running_since=None, ports={},
            boots=contract.boots + 1,
        )  # fmt: skip

    def _offline(self, contract: Contract, at: float) -> None:
        self.count_traffic(contract, at)
        self._hosts.halt(contract.id)
        self._change(
            contract, at, offline=True, due=None, running_since=None, ports={},
            boots=contract.boots + 1,
        )  # fmt: skip

    def _online(self, contract: Contract, at: float) -> None:
        self._change(contract, at, offline=False)
        if contract.phase is not None:
            self._change(contract, at, due=at + START)
        elif contract.cur_state == "running" and contract.pulled and contract.actual != "exited":
            self._boot_soon(contract, at)

    def _change(self, contract: Contract, at: float, **values: Any) -> None:
        """Set attributes, store the contract, record its status and bill from `at` on."""
        before = contract.status
        if (message := values.get("status_msg")) not in (None, contract.status_msg):
            contract.daemon_log = [*contract.daemon_log[-DAEMON_LINES:], f"{_clock(at)} {message}"]
        for name, value in values.items():
            setattr(contract, name, value)
        if contract.status != before or contract.destroyed_at is not None:
            self._contracts.record(contract, at)
        self._contracts.save(contract)
        self._bill(contract, at)
        self._hold()

    def _bill(self, contract: Contract, at: float) -> None:
        exists = contract.destroyed_at is None and not contract.offline
        if exists and contract.status in RUNNING:
            self._ledger.open(contract.id, "gpu", at, nano(contract.dph_base))
        else:
            self._ledger.close(contract.id, "gpu", at)
        if exists:
            rate = disk_per_hour(contract.offer["storage_cost"], contract.disk)
            self._ledger.open(contract.id, "disk", at, nano(rate))
        else:
            self._ledger.close(contract.id, "disk", at)

    def _hold(self) -> None:
        """Tell the market which machines and GPUs the account has."""
        self._market.held.clear()
        self._market.occupied_machines.clear()
        for contract in self._contracts.live():
            offer = self._market.offers[contract.offer_index]
            self._market.occupied_machines.add(offer.machine.index)
            if contract.cur_state == "running":
                self._market.held.setdefault(offer.machine.index, set()).update(offer.gpus)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _halted(contract: Contract) -> str:
    """Return the word this machine uses for a halted container: hosts differ."""
    return "exited" if contract.machine_id % 2 else "stopped"
