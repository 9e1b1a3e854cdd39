"""What every stack begins with: an SSH key of its own and one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.remote.resource import Reach
from components.vast.resource import Instance, SshKey

if TYPE_CHECKING:
    from components.spec.node import Node


def rented(node: Node) -> tuple[Reach, dict[str, Any]]:
    """Declare a machine for `node`; return how to reach it and the outputs that describe it."""
    key = SshKey("key")
    machine = Instance("node", node, key)
    reach = Reach(
        machine=machine,
        machine_id=machine.instance_id,
        host=machine.host,
        port=machine.port,
        private_key=key.private_key,
        host_key=machine.host_key,
    )
    outputs = {
        "instance": machine.instance_id,
        "gpu": pulumi.Output.format("{0}x {1}", machine.gpu_count, machine.gpu),
        "pricePerHour": machine.price,
        "ssh": f"./fragua ssh {pulumi.get_stack()}",
        "address": pulumi.Output.format("root@{0}:{1}", machine.host, machine.port),
    }
    return reach, outputs
