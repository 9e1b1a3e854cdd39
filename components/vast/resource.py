"""What a Pulumi program declares of Vast.ai: `SshKey`, `Instance`, `Gang`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import Resource

from components.vast.gang import GangProvider
from components.vast.provider import InstanceProvider, SshKeyProvider

if TYPE_CHECKING:
    from components.spec.node import Node


class SshKey(Resource, module="vast", name="SshKey"):
    """An ed25519 key of the stack's own, registered on the account while the stack lives."""

    public_key: pulumi.Output[str]
    private_key: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare the key; the private part is a secret output."""
        props = {"stack": pulumi.get_stack(), "public_key": None, "private_key": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key"])
        super().__init__(SshKeyProvider(), name, props, pulumi.ResourceOptions.merge(secret, opts))


class Instance(Resource, module="vast", name="Instance"):
    """One rented and verified machine.

    Outputs: `instance_id`, `machine_id`, `status`, `gpu`, `gpu_count`, `vram` (MiB), `location`,
    `price` ($/h when last read), `label`, `host`, `port`, `host_key` (`ssh-ed25519 AAAA...`), `address` (the
    host's public one), `ports` (public port of each that `node.ports` opens), `interruptible`, `bid` ($/h;
    none on demand), `rented` (epoch seconds), `storage_cost` ($/GB/month), `up_cost`, `down_cost` ($/GB).
    """

    instance_id: pulumi.Output[int]
    status: pulumi.Output[str]
    gpu: pulumi.Output[str]
    gpu_count: pulumi.Output[int]
    price: pulumi.Output[float]
    label: pulumi.Output[str]
    host: pulumi.Output[str]
    port: pulumi.Output[int]
    host_key: pulumi.Output[str]
    address: pulumi.Output[str]
    ports: pulumi.Output[dict[str, int]]
    interruptible: pulumi.Output[bool]
    bid: pulumi.Output[float | None]
    rented: pulumi.Output[float | None]

    def __init__(
        self,
        name: str,
        node: Node,
        key: SshKey,
        purchase: dict[str, Any] | None = None,
        lease: dict[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a machine that fits `node` and lets `key` in.

        Args:
            name: of the resource.
            node: the conditions.
            key: the stack's.
            purchase: a `components.cost.purchase.Purchase` as JSON without its defaults: the job, and what
                was approved for it. It matters when something is rented, and never changes what is.
            lease: a `components.vast.lease.Lease`, likewise: what ends the machine when nobody looks.
            opts: Pulumi's.
        """
        shown = ("machine_id", "gpu_count", "vram", "location")
        outputs = dict.fromkeys((*Instance.__annotations__, *shown))
        props = {**_inputs(name, node, key), "purchase": purchase, "lease": lease, **outputs}
        super().__init__(InstanceProvider(), name, props, _options(opts))


class Gang(Resource, module="vast", name="Gang"):
    """`count` equal machines, all or none. Output: `machines`, a list of what `Instance` shows of each."""

    machines: pulumi.Output[list[dict[str, Any]]]

    def __init__(
        self,
        name: str,
        node: Node,
        count: int,
        key: SshKey,
        lease: dict[str, Any] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare `count` machines that fit `node` and let `key` in; see `Instance` for `lease`."""
        props = {**_inputs(name, node, key), "count": count, "lease": lease, "machines": None}
        super().__init__(GangProvider(), name, props, _options(opts))


def _inputs(name: str, node: Node, key: SshKey) -> dict[str, Any]:
    """Leave defaults out: a new field, or another default, must not change what is already rented."""
    return {
        "stack": pulumi.get_stack(),
        "name": name,
        "node": node.model_dump(mode="json", exclude_defaults=True),
        "public_key": key.public_key,
        "private_key": key.private_key,
    }


def _options(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Delete before replace: the new machine must never find the old one by its label."""
    return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(delete_before_replace=True), opts)
