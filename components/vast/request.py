"""What a resource asks of the market, and how its machines are found again: by their label. Pure."""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any

from pydantic import ConfigDict, Field, SecretStr

from components.remote.job import BOOT, WORKSPACE
from components.spec.base import Spec
from components.spec.node import Node

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

    @cached_property
    def owner(self) -> str:
        """The part of the label that says whose machine it is."""
        return f"{key_tag(self.public_key)}{_digest(self.name)}:"

    @cached_property
    def tag(self) -> str:
        """The part of the label that also says what the machine was rented for."""
        node = self.node
        gpus = (*sorted(node.gpu.models), node.gpu.count, node.gpu.vram)
        fit = _digest(node.image, node.disk, node.bid is None, *gpus, *sorted(node.env.items()), *node.ports)
        return f"{self.owner}{fit}"

    @cached_property
    def label(self) -> str:
        """The whole label."""
        return f"{self.node.label or self.stack}/{self.name} {self.tag}"

    def body(self) -> dict[str, Any]:
        """Return the create call's body. `price` appears only for a bid: its mere presence makes one."""
        node = self.node
        body: dict[str, Any] = {
            "client_id": "me",
            "image": node.image,
            "disk": node.disk,
            "label": self.label,
            "runtype": _RUNTYPE,
            "onstart": _ONSTART,
            "env": {**node.env, **{f"-p {port}:{port}": "1" for port in node.ports}},
            "cancel_unavail": True,
        }
        return body if node.bid is None else {**body, "price": node.bid}


def key_tag(public_key: str) -> str:
    """Return the part of the label that every machine of the stack with that SSH key carries."""
    return f"fragua:{_digest(public_key)}:"


def _digest(*parts: object) -> str:
    return sha256("\0".join(map(str, parts)).encode()).hexdigest()[:8]
