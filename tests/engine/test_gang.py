"""Several equal machines as one resource: rented in one call, and made up in place when one is lost."""

from pathlib import Path

from engine_runs import Cloud, MakeStack, Stack

PROGRAM = """
import pulumi
from components.spec.node import Gpu, Node
from components.vast.resource import Gang, SshKey

config = pulumi.Config()
node = Node(gpu=Gpu(models=("RTX 3090", "RTX 4090")), image="vastai/pytorch", disk=20, max_price=2)
gang = Gang("gang", node, config.require_int("count"), SshKey("key"))
pulumi.export("machines", gang.machines.apply(lambda each: [machine["instance_id"] for machine in each]))
"""


def machines(stack: Stack) -> set[int]:
    return {int(instance) for instance in stack.outputs()["machines"]}


def test_a_gang_is_rented_at_once_healed_shrunk_and_destroyed(
    make_stack: MakeStack, copied_program: Path, cloud: Cloud
) -> None:
    (copied_program / "__main__.py").write_text(PROGRAM)
    stack = make_stack("gang", program=copied_program, count=2)
    assert "renting 2 of 2 machines in one call" in stack.up()
    first = machines(stack)
    assert set(cloud.billing("gang/")) == first
    assert len(first) == 2
    assert stack.steps() == {"same": 3}

    lost = first.pop()
    cloud.api("DELETE", f"/api/v0/instances/{lost}/", {})
    stack.pulumi("refresh", "--yes", "--skip-preview")
    assert stack.steps() == {"same": 2, "update": 1}
    stack.up()
    healed = machines(stack)
    assert first < healed
    assert set(cloud.billing("gang/")) == healed
    assert len(healed) == 2

    stack.configure(count=1)
    assert stack.steps() == {"same": 2, "update": 1}
    stack.up()
    assert machines(stack) < healed
    assert set(cloud.billing("gang/")) == machines(stack)
    assert stack.steps() == {"same": 3}

    stack.destroy()
    assert cloud.billing("gang/") == []
