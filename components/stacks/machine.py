"""What every stack begins with: an SSH key of its own, and its machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.remote.resource import Reach
from components.spec import gpus
from components.stacks.asked import of_machine
from components.stacks.price import priced
from components.vast.resource import Instance, SshKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.spec.machine import MachineJob
    from components.stacks.price import Priced


def build(job: MachineJob, place: Callable[[str], str]) -> dict[str, Any]:
    """Declare a stack of one machine with nothing on it, and return its outputs.

    Raises:
        SpecError: its price cannot be right; nothing was declared.
    """
    for doubt in gpus.doubts(job.node.gpu.models, place):
        pulumi.log.warn(doubt)
    price = priced(of_machine(job), place)
    machine, _ = rent(price, SshKey("key"))
    return {**described(machine), **price.outputs}


def rent(price: Priced, key: SshKey, number: int = 1) -> tuple[Instance, Reach]:
    """Declare the stack's machine of that `number` at its `price`; return it and how to reach it."""
    suffix = f"-{number}" if number > 1 else ""
    machine = Instance(f"node{suffix}", price.node, key, price.purchase, price.lease)
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
