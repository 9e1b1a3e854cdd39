"""Machines that end themselves: by their own key, on a market that bills them, with nobody at the laptop.

The machines' own time is real, so that the market's clock runs as fast once they are up.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from rented import Cloud, Run

from components.errors import RemoteError
from components.remote.job import Job, start_script
from components.remote.shell import Login, connect
from components.vast import renewal
from components.vast.lease import Lease, LeaseStatus

LONG = Lease(lease=36000, idle=0)
SHORT = Lease(lease=2, idle=0)
BOUND = 2 + 1 + 30
"""Seconds: the lease, one look, and what a busy machine takes for a call."""


@dataclass
class Rented:
    """A machine that runs, on a market whose clock is as fast as its own."""

    cloud: Cloud
    number: int
    login: Login

    @property
    def bill(self) -> dict[str, Any]:
        contracts = self.cloud.ask("GET", "ledger")["contracts"]
        return next(each for each in contracts if each["id"] == self.number)

    def run(self, script: str) -> str:
        with connect(self.login, patience=30) as shell:
            return shell.run("looking", script)

    def lease(self) -> LeaseStatus:
        found = renewal.look(self.login, patience=30)
        assert found is not None
        return found

    def told(self, wanted: Lease) -> None:
        """Change the lease to `wanted`, at a dollar an hour; the machine may end itself at that."""
        with suppress(RemoteError):
            renewal.renew(self.login, wanted.limits(), rate=1.0)


@pytest.fixture
def rent(cloud: Cloud, start: Callable[..., Run]) -> Iterator[Callable[[int], list[Rented]]]:
    """Rent so many machines while time flies, and let it pass as on a clock from then on."""

    def rented(count: int) -> list[Rented]:
        run = start(count)
        run.request = run.request.model_copy(update={"lease": LONG})
        machines = run.acquire()
        cloud.ask("POST", "clock", scale=1)
        return [Rented(cloud, machine.instance.id, machine.login) for machine in machines]

    yield rented
    cloud.ask("POST", "clock", scale=1000)


@pytest.fixture
def rented(rent: Callable[[int], list[Rented]]) -> Rented:
    [machine] = rent(1)
    return machine


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
    return found


def test_each_limit_ends_all_billing_within_its_bound(rent: Callable[[int], list[Rented]]) -> None:
    off = LONG.model_copy(update={"lease": 0})
    limits = (
        SHORT,
        off.model_copy(update={"idle": 2}),
        off.model_copy(update={"max_time": 2}),
        off.model_copy(update={"max_total": 0.0001}),
    )
    machines = rent(len(limits))
    before = []
    for machine, limit in zip(machines, limits, strict=True):
        before.append(machine.bill["seconds"]["running"])
        machine.told(limit)
    for machine in machines:
        until(lambda each=machine: each.bill["status"] == "destroyed")

    for machine, then in zip(machines, before, strict=True):
        assert not machine.bill["billing_now"]
        assert machine.bill["seconds"]["running"] - then <= BOUND


def test_with_the_api_down_the_work_ends_and_the_billing_once_it_is_back(rented: Rented) -> None:
    path = rf"instances/{rented.number}"
    rented.cloud.ask(
        "POST", "fault", effect="respond", method="DELETE", path=path, status=503, body="", count=None
    )
    rented.run(start_script(Job("comfyui", "sleep 1000")))
    rented.told(SHORT)
    until(lambda: "HTTP 503" in rented.lease().ended)
    busy = 'cd "${WORKSPACE:-/workspace}/.fragua/jobs/comfyui"; flock -n lock true || echo busy'
    until(lambda: rented.run(busy) == "")
    assert rented.bill["gpu_billing_now"]

    rented.cloud.ask("DELETE", "fault")
    back = rented.bill["seconds"]["running"]
    until(lambda: rented.bill["status"] == "destroyed")

    assert rented.bill["seconds"]["running"] - back <= 20 + BOUND


def test_with_checkpoints_on_it_the_machine_is_stopped_and_only_its_disk_bills(rented: Rented) -> None:
    rented.run(start_script(Job("train-cats-1", "sleep 1000")))
    rented.told(SHORT)
    until(lambda: not rented.bill["gpu_billing_now"])

    assert rented.bill["status"] in ("stopped", "exited")
    assert rented.bill["billing_now"]


def test_a_dead_watchdog_is_started_by_a_renewal_and_by_a_reboot(rented: Rented) -> None:
    kill = (
        "for p in /proc/[0-9]*; do grep -q watchdog $p/cmdline && kill -9 ${p#/proc/}; done 2>/dev/null; true"
    )
    rented.run(kill)
    until(lambda: not rented.lease().alive)
    renewal.renew(rented.login)
    until(lambda: rented.lease().alive)

    rented.run(kill)
    until(lambda: not rented.lease().alive)
    age = rented.lease().age
    api = rented.cloud.api()
    rented.cloud.ask("POST", "clock", scale=1000)
    api.stop(rented.number)
    until(lambda: not rented.bill["gpu_billing_now"])
    api.start(rented.number)
    host, port = until(lambda: api.instances(id=rented.number)[0].direct)
    rented.login = replace(rented.login, host=host, port=port)
    until(lambda: rented.lease().alive)
    assert rented.lease().age >= age


def test_the_machine_s_own_key_is_in_no_command_line_and_opens_nothing_else(rented: Rented) -> None:
    key = rented.run("sed 's/.* //' ~/.fragua/lease/header").strip()
    assert len(key) == 64
    shown = rented.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "watchdog" in shown
    assert key not in shown + rented.run("cat ~/.fragua/lease/log 2>/dev/null; true")

    ask = ". ~/.fragua/lease/own; curl -s -o /dev/null -w '%{http_code}' -H @$HOME/.fragua/lease/header"
    assert rented.run(f"{ask} $url/api/v0/users/current/") == "403"
    assert rented.run(f"{ask} -X DELETE $url/api/v0/instances/1/") == "403"
    assert rented.run(f"{ask} $url/_sim/ledger") == "403"
