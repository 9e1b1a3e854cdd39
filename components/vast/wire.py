"""What Vast.ai's REST API sends, as far as fragua reads it. Unknown fields are ignored: the API may grow.

Units are the API's own: MB for memory, Mbps for bandwidth, $/h for prices, GB for disk.
Source of every field: Vast.ai's OpenAPI files and its CLI.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from components.errors import ReplyLost

_Stripped = Annotated[str, StringConstraints(strip_whitespace=True)]


class Wire(BaseModel):
    """A piece of an API reply. A field that is null is as one that is missing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, row: Any) -> Any:
        return {n: value for n, value in row.items() if value is not None} if isinstance(row, dict) else row

    @classmethod
    def read(cls, row: Any) -> Self:
        """Return what `row` of a reply says.

        Raises:
            ReplyLost: it lacks something, or is no such row.
        """
        try:
            return cls.model_validate(row)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join([cls.__name__.lower(), *map(str, first["loc"])])
            raise ReplyLost(f"Vast.ai's answer cannot be read: {where}: {first['msg']}") from None

    @classmethod
    def read_list(cls, rows: Any) -> list[Self]:
        """Return what each of `rows` says.

        Raises:
            ReplyLost: it is no list; taken for an empty one, it would prove that nothing bills.
        """
        if not isinstance(rows, list):
            what = cls.__name__.lower()
            raise ReplyLost(
                f"Vast.ai's answer has no list ({what}): it does not even tell that there is none"
            )
        return [cls.read(row) for row in rows]


class Offer(Wire):
    """A machine, or a share of one, that can be rented now."""

    id: int
    machine_id: int
    gpu_name: str
    num_gpus: int
    gpu_ram: float
    """MB per GPU."""
    cpu_cores_effective: float = 0
    cpu_ram: float = 0
    """MB."""
    disk_space: float
    """GB available."""
    inet_down: float = 0
    """Mbps."""
    inet_up: float = 0
    """Mbps."""
    dph_total: float
    """$/h on demand, with the disk that the search named in allocated_storage."""
    dph_base: float | None = None
    """$/h of that for the GPUs."""
    min_bid: float = 0
    """$/h for the whole machine; the least that an interruptible contract may pay."""
    storage_cost: float = 0
    """$/GB/month; 720 hours are a month."""
    inet_up_cost: float = 0
    """$/GB out of the machine."""
    inet_down_cost: float = 0
    """$/GB into the machine."""
    dlperf: float = 0
    """Vast.ai's deep-learning score of all GPUs of the offer."""
    reliability: Annotated[float, Field(validation_alias=AliasChoices("reliability", "reliability2"))] = 0
    verification: str | None = None
    rentable: bool = True
    geolocation: str | None = None
    """Text that ends in a two-letter country code."""
    cuda_max_good: float = 0
    driver_version: str | None = None
    direct_port_count: int = 0
    hosting_type: int | None = None
    """0 is somebody's own machine, 1 and above a data centre."""
    duration: float | None = None
    """Seconds until the host withdraws the machine."""

    @property
    def country(self) -> str:
        """Two-letter code, or an empty string."""
        return (self.geolocation or "").rpartition(",")[2].strip()


class Instance(Wire):
    """A rented machine (Vast.ai's contract)."""

    id: int
    machine_id: int
    label: str | None = None
    actual_status: str | None = None
    """null while provisioning; created, loading, running, stopped, exited, frozen, offline, unknown."""
    intended_status: str | None = None
    cur_state: str | None = None
    status_msg: str | None = None
    is_bid: bool = False
    gpu_name: str
    num_gpus: int
    gpu_ram: float
    """MB per GPU."""
    disk_space: float = 0
    """GB."""
    dph_total: float = 0
    """$/h now."""
    dph_base: float = 0
    """$/h of that for the GPUs; of an interruptible instance, its bid."""
    min_bid: float = 0
    """$/h for the whole machine; the least that wins now."""
    start_date: float | None = None
    """Epoch seconds of renting."""
    end_date: float | None = None
    """Epoch seconds when the host withdraws the machine."""
    duration: float | None = None
    """Seconds left until then."""
    storage_cost: float = 0
    """$/GB/month."""
    inet_up_cost: float = 0
    """$/GB."""
    inet_down_cost: float = 0
    """$/GB."""
    inet_up: float = 0
    """Mbps."""
    inet_down: float = 0
    """Mbps."""
    dlperf: float = 0
    reliability2: float = 0
    driver_version: str | None = None
    geolocation: str | None = None
    image_runtype: str | None = None
    ssh_host: _Stripped = ""
    ssh_port: int | None = None
    public_ipaddr: _Stripped = ""
    ports: dict[str, list[dict[str, str]] | None] | None = None
    """Docker's map; may be absent even while running."""

    @property
    def direct(self) -> tuple[str, int] | None:
        """Address of the machine's own sshd, once its port is known."""
        mappings = (self.ports or {}).get("22/tcp")
        return (self.public_ipaddr, int(mappings[0]["HostPort"])) if mappings and self.public_ipaddr else None

    @property
    def opened(self) -> dict[str, int]:
        """Public port of each TCP port of the container, sshd's apart; the keys are numbers as text."""
        return {
            name.removesuffix("/tcp"): int(mappings[0]["HostPort"])
            for name, mappings in (self.ports or {}).items()
            if mappings and name.endswith("/tcp") and name != "22/tcp"
        }

    @property
    def proxy(self) -> tuple[str, int] | None:
        """Address of Vast.ai's SSH proxy. The port is one higher for Jupyter runtypes, as in its CLI."""
        if not self.ssh_host or not self.ssh_port:
            return None
        return self.ssh_host, self.ssh_port + ("jupyter" in (self.image_runtype or ""))


class ChargeItem(Wire):
    """What a part of a charge is for."""

    type: str
    """gpu, disk, bwd (traffic into the machine), bwu (out of it); others may come."""
    amount: float = 0
    """$."""


class Charge(Wire):
    """What one contract cost on one day, or over a stretch of days."""

    end: float = 0
    """Epoch seconds up to which it goes."""
    source: str | None = None
    """`instance-ID`, `volume-ID`, ..."""
    amount: float = 0
    """$ in all."""
    items: list[ChargeItem] = []
    metadata: dict[str, Any] | None = None
    """Its `label`, among others."""

    @property
    def instance(self) -> int | None:
        """The instance that it is for; None where it is for something else."""
        kind, _, number = (self.source or "").partition("-")
        return int(number) if kind == "instance" and number.isdigit() else None

    @property
    def label(self) -> str:
        """The contract's label, or an empty string."""
        return str((self.metadata or {}).get("label") or "")


class SshKey(Wire):
    """A public key on the account."""

    id: int
    public_key: Annotated[str, Field(validation_alias=AliasChoices("public_key", "ssh_key", "key"))]


class User(Wire):
    """The account."""

    id: int
    credit: float | None = None
    """$ that can be spent; None where it is not told."""
