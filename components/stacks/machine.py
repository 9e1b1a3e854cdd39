"""What every stack begins with: an SSH key of its own, and its machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.remote.resource import Reach
from components.vast.resource import Instance, SshKey

if TYPE_CHECKING:
    from components.spec.machine import MachineJob
    from components.spec.node import Node


def build(job: MachineJob) -> dict[str, Any]:
    """Declare a stack of one machine with nothing on it, and return its outputs."""
    machine, _ = rent(job.node, SshKey("key"))
    return described(machine)


def rent(node: Node, key: SshKey, number: int = 1) -> tuple[Instance, Reach]:
    """Declare the stack's machine of that `number` for `node`; return it and how to reach it."""
    suffix = f"-{number}" if number > 1 else ""
    machine = Instance(f"node{suffix}", node, key)
    return machine, Reach(
        machine=machine,
        machine_id=machine.instance_id,
        host=machine.host,
        port=machine.port,
        private_key=key.private_key,
        host_key=machine.host_key,
        suffix=suffix,
    )


def described(machine: Instance) -> dict[str, Any]:
    """Return the outputs that describe a machine."""
    return {
        "instance": machine.instance_id,
        "gpu": pulumi.Output.format("{0}x {1}", machine.gpu_count, machine.gpu),
        "pricePerHour": machine.price,
        "ssh": f"./fragua ssh {pulumi.get_stack()}",
        "address": pulumi.Output.format("root@{0}:{1}", machine.host, machine.port),
    }
