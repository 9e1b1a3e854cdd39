"""Contracts: what was rented and in which state it is. Data only; the lifecycle changes it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.store import Store

FIRST_CONTRACT_ID = 27_100_301
KIND = "contract"


@dataclass
class Contract:
    """One rented slice of a machine.

    Attributes:
        offer: the offer's fields as they were when it was rented.
        bid: $/h bid for the whole slice; None on demand.
        dph_base: $/h of the GPUs in this contract, fixed when rented or bid.
        actual: the container's status as Vast names it; None while it is provisioned.
        cur_state: `running` while the contract holds its GPUs, else `stopped`.
        phase: the transition that comes next by itself, at virtual time `due`.
        pulled: the image is on the machine.
        boots: counts boots and halts, so that a late answer of the machine is recognised.
        offline: the host is disconnected; hides `actual`.
        forced_offline: the control plane disconnected it.
        outbid_floor: $/h that the control plane says others bid.
        faults: what is wrong with the machine it runs on.
    """

    id: int
    machine_id: int
    offer_index: int
    offer: dict[str, Any]
    image: str
    runtype: str
    env: dict[str, str]
    onstart: str | None
    args: list[str]
    label: str | None
    template: dict[str, Any] | None
    disk: float
    bid: float | None
    dph_base: float
    created_at: float
    end_date: float
    container_key: str
    jupyter_token: str
    intended: str
    ssh_keys: list[dict[str, Any]] = field(default_factory=list)
    actual: str | None = None
    cur_state: str = "stopped"
    next_state: str = "running"
    status_msg: str | None = None
    phase: str | None = None
    due: float | None = None
    pulled: bool = False
    boots: int = 0
    running_since: float | None = None
    ports: dict[str, int] = field(default_factory=dict)
    proxy_port: int | None = None
    keys_written: float = 0.0
    offline: bool = False
    forced_offline: bool = False
    outbid_floor: float = 0.0
    faults: list[str] = field(default_factory=list)
    daemon_log: list[str] = field(default_factory=list)
    destroyed_at: float | None = None

    @property
    def status(self) -> str | None:
        """Return `actual_status` as the API shows it."""
        return "offline" if self.offline else self.actual

    @property
    def has_ssh(self) -> bool:
        """Return whether the runtype has an SSH server."""
        return "ssh" in self.runtype


class Contracts:
    """The account's contracts, destroyed ones included."""

    def __init__(self, store: Store) -> None:
        """Read what the store has."""
        self._store = store
        self._all = {number: Contract(**body) for number, body in store.load(KIND)}

    def live(self) -> list[Contract]:
        """Return the contracts that exist, by id."""
        return [contract for contract in self._all.values() if contract.destroyed_at is None]

    def every(self) -> list[Contract]:
        """Return all contracts there ever were, by id."""
        return list(self._all.values())

    def get(self, number: int) -> Contract | None:
        """Return a contract that exists."""
        contract = self._all.get(number)
        return contract if contract is not None and contract.destroyed_at is None else None

    def new_id(self) -> int:
        """Return a fresh instance id."""
        return self._store.next_id(KIND, FIRST_CONTRACT_ID)

    def save(self, contract: Contract) -> None:
        """Keep the contract as it is now."""
        self._all[contract.id] = contract
        self._store.save(KIND, contract.id, asdict(contract))

    def record(self, contract: Contract, at: float) -> None:
        """Write down that its visible status changed at `at`."""
        status = "destroyed" if contract.destroyed_at is not None else contract.status or "null"
        self._store.db.execute("INSERT INTO status VALUES (?, ?, ?)", (contract.id, status, at))

    def seconds_by_status(self, number: int, now: float) -> dict[str, int]:
        """Return virtual seconds spent in each status, `now` included."""
        rows = self._store.db.execute(
            "SELECT status, at FROM status WHERE contract = ? ORDER BY rowid", (number,)
        ).fetchall()
        ends = [at for _, at in rows[1:]] + [now]
        spans: dict[str, float] = {}
        for (status, start), end in zip(rows, ends, strict=True):
            if status != "destroyed":
                spans[status] = spans.get(status, 0.0) + int(end) - int(start)
        return {status: int(seconds) for status, seconds in spans.items()}
