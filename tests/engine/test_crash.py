"""A command that is killed or broken off at any moment: nothing is orphaned, and nothing rented twice."""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from engine_runs import Cloud, MakeStack, Stack, descendants

Begin = Callable[[str, str], tuple[Stack, subprocess.Popen[str]]]
Until = Callable[[Callable[[], object]], object]

SLOW_SEARCH = {"effect": "delay", "seconds": 20, "method": "POST", "path": "bundles"}
REPLY_OF_CREATE_LOST = {"effect": "drop_after", "method": "PUT", "path": "asks"}
SLOW_DESTROY = {"effect": "delay", "seconds": 20, "method": "DELETE", "path": "instances"}

MOMENTS: dict[str, tuple[dict[str, Any] | None, str, int]] = {
    "before it rents": (SLOW_SEARCH, "SshKey key created", 0),
    "before it knows what it rented": (REPLY_OF_CREATE_LOST, "renting offer", 1),
    "while the machine loads": (None, "is billed from now", 1),
    "while the machine is verified": (None, "checking SSH", 1),
}
"""A fault of the API that makes the moment last, what `up` has said by then, and how many machines bill."""


@pytest.fixture
def begin(make_stack: MakeStack, cloud: Cloud, until: Until) -> Begin:
    """Start an `up` of a new stack and wait for one of its moments."""

    def begin(name: str, moment: str) -> tuple[Stack, subprocess.Popen[str]]:
        fault, said, billing = MOMENTS[moment]
        stack = make_stack(name)
        if fault:
            cloud.ask("POST", "fault", **fault)
        running = stack.start("up", "--yes", "--skip-preview")
        assert running.stdout
        until(lambda: said in running.stdout.readline())
        until(lambda: len(cloud.billing(f"{name}/")) == billing)
        cloud.ask("DELETE", "fault")
        return stack, running

    return begin


@pytest.mark.parametrize("moment", MOMENTS)
def test_up_goes_on_with_what_a_killed_up_rented(moment: str, begin: Begin, cloud: Cloud) -> None:
    name = f"killed-{moment.rpartition(' ')[2]}"
    stack, running = begin(name, moment)
    rented = cloud.billing(f"{name}/")
    stack.kill(running)
    stack.pulumi("cancel", "--yes")
    stack.up()

    assert cloud.billing(f"{name}/") == [stack.outputs()["instance"]]
    assert not rented or cloud.billing(f"{name}/") == rented
    stack.destroy()
    assert cloud.billing(f"{name}/") == []


def test_destroy_ends_what_a_killed_up_rented(begin: Begin, cloud: Cloud) -> None:
    stack, running = begin("ended", "before it knows what it rented")
    stack.kill(running)
    stack.pulumi("cancel", "--yes")
    stack.destroy()

    assert cloud.billing("ended/") == []
    assert not any("fragua ended" in key for key in cloud.ssh_keys())


def test_a_plugin_that_outlives_its_engine_leaves_the_machine_to_the_next_up(
    begin: Begin, cloud: Cloud
) -> None:
    stack, running = begin("outlived", "while the machine loads")
    plugins = descendants(running.pid)
    running.kill()
    running.wait()
    stack.pulumi("cancel", "--yes")
    stack.up()

    assert [each["id"] for each in cloud.contracts("outlived/")] == [stack.outputs()["instance"]]
    assert stack.steps() == {"same": 3}
    stack.destroy()
    for pid in plugins:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_ctrl_c_waits_for_the_machine_and_keeps_it_in_the_state(begin: Begin, cloud: Cloud) -> None:
    stack, running = begin("interrupted", "while the machine loads")
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)

    assert running.returncode != 0
    assert "is verified" in output
    stack.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert cloud.billing("interrupted/") == [stack.outputs()["instance"]]
    stack.destroy()


def test_a_killed_destroy_is_finished_by_the_next(make_stack: MakeStack, cloud: Cloud, until: Until) -> None:
    stack = make_stack("halfway")
    stack.up()
    cloud.ask("POST", "fault", **SLOW_DESTROY)
    running = stack.start("destroy", "--yes", "--skip-preview")
    assert running.stdout
    until(lambda: "Instance node deleting" in running.stdout.readline())
    stack.kill(running)
    cloud.ask("DELETE", "fault")
    stack.pulumi("cancel", "--yes")
    stack.destroy()

    assert cloud.billing("halfway/") == []
