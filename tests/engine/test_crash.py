"""`up` killed with -9 at any moment: the next command finds what was rented, and rents nothing twice."""

from collections.abc import Callable

import pytest
from engine_runs import Cloud, MakeStack

Until = Callable[[Callable[[], object]], object]


@pytest.mark.parametrize("moment", ["reply of create lost", "while it loads", "while it is verified"])
@pytest.mark.parametrize("then", ["up", "destroy"])
def test_nothing_is_orphaned_by_a_kill(
    moment: str, then: str, make_stack: MakeStack, cloud: Cloud, until: Until
) -> None:
    name = f"killed-{moment.rsplit(maxsplit=1)[-1]}-{then}"
    stack = make_stack(name)
    said = {
        "reply of create lost": "renting offer",
        "while it loads": "is billed from now",
        "while it is verified": "checking SSH",
    }[moment]
    if moment == "reply of create lost":
        cloud.ask("POST", "fault", effect="drop_after", method="PUT", path=".*asks.*", count=1)
    running = stack.start("up", "--yes", "--skip-preview")
    assert running.stdout
    until(lambda: said in running.stdout.readline())
    until(lambda: cloud.billing(f"{name}/"))
    stack.kill(running)
    rented = cloud.billing(f"{name}/")
    assert len(rented) == 1

    stack.pulumi("cancel", "--yes")
    if then == "up":
        assert "taking up instance" in stack.up()
        assert cloud.billing(f"{name}/") == rented
    stack.destroy()
    if then == "destroy":
        stack.up()
        stack.destroy()
    assert cloud.billing(f"{name}/") == []
    assert len(cloud.contracts(f"{name}/")) <= 2
