"""What a resource asks of the market, and how its machines are found again: by their label. Pure."""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, SecretStr

from components.cost.purchase import Purchase
from components.cost.work import Work
from components.remote.job import BOOT, WORKSPACE
from components.spec.base import Spec
from components.spec.node import Node
from components.vast.lease import Lease, start_script

if TYPE_CHECKING:
    from components.cost.estimate import Estimate

_RUNTYPE = "ssh_direc ssh_proxy"
_ONSTART = f'touch ~/.no_auto_tmux; boot="{WORKSPACE}/{BOOT}"; [ ! -e "$boot" ] || bash "$boot"'


class RentRequest(Spec):
    """`count` equal machines for one resource of one stack.

    The label is `WORDS fragua:KEY:NAME:FIT`, the last three digests. KEY, of the stack's own SSH key, keeps
    anybody else's machine from being taken for ours, even on a shared account; NAME is the resource's. FIT is
    of what cannot change on a rented machine: a leftover that no longer fits is destroyed, not adopted.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # the input holds the private key

    stack: str
    name: str
    node: Node
    count: Annotated[int, Field(ge=1, le=64)] = 1
    public_key: str
    private_key: SecretStr
    purchase: Purchase | None = None
    """The job of each machine and what was approved for it; None where nothing was shown to anybody."""
    lease: Lease = Lease()
    """What ends each machine when nobody looks."""

    @cached_property
    def owner(self) -> str:
        """The part of the label that says whose machine it is."""
        return owner_of(self.public_key, self.name)

    @cached_property
    def tag(self) -> str:
        """The part of the label that also says what the machine was rented for."""
        node = self.node
        gpus = (*sorted(node.gpu.models), node.gpu.count, node.gpu.vram)
        kind = "auto" if node.bid == "auto" else node.bid is None
        fit = _digest(node.image, node.disk, kind, *gpus, *sorted(node.env.items()), *node.ports)
        return f"{self.owner}{fit}"

    @cached_property
    def label(self) -> str:
        """The whole label."""
        return f"{self.node.label or self.stack}/{self.name} {self.tag}"

    @cached_property
    def market(self) -> Node:
        """The conditions to choose by. A gang makes no bid of its own: it ends with the first one lost."""
        several = self.count > 1 and self.node.bid == "auto"
        return self.node.model_copy(update={"bid": None}) if several else self.node

    @cached_property
    def allowed(self) -> Purchase:
        """What may be rented: what was approved, or where nothing was, whatever serves cheapest for a day."""
        return self.purchase or Purchase(work=Work(kind="up", hours=24, disk=self.node.disk))

    def watchdog(self, found: Estimate, url: str, before: float = 0) -> str:
        """Return what starts the watchdog of a machine that takes `found`, of the API at `url`.

        `before` is what earlier machines cost in $.
        """
        return start_script(self.lease.limits(), url, found.rate, found.traffic, before)

    def body(self, bid: float | None = None, first: str = "") -> dict[str, Any]:
        """Return the create call's body. `price` appears only for a bid: its mere presence makes one.

        Args:
            bid: $/h for the whole machine; None for on demand.
            first: bash that the container runs before anything else, each time that it starts.
        """
        node = self.node
        body: dict[str, Any] = {
            "client_id": "me",
            "image": node.image,
            "disk": node.disk,
            "label": self.label,
            "runtype": _RUNTYPE,
            "onstart": f"{first}{_ONSTART}",
            "env": {**node.env, **{f"-p {port}:{port}": "1" for port in node.ports}},
            "cancel_unavail": True,
        }
        return body if bid is None else {**body, "price": bid}


def key_tag(public_key: str) -> str:
    """Return the part of the label that every machine of the stack with that SSH key carries."""
    return f"fragua:{_digest(public_key)}:"


def owner_of(public_key: str, name: str) -> str:
    """Return the part of the label that the machines of the resource `name` carry."""
    return f"{key_tag(public_key)}{_digest(name)}:"


def _digest(*parts: object) -> str:
    return sha256("\0".join(map(str, parts)).encode()).hexdigest()[:8]
