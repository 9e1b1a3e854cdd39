"""The watchdog of a machine: what is killed, restarted or pried into makes no limit longer."""

from __future__ import annotations

from lease_machine import KEY, Machine

from components.vast import lease
from components.vast.lease import Lease

HOUR = 3600
NOTHING = Lease(lease=0, idle=0)
POLL = lease.POLL


def test_a_killed_watchdog_is_started_by_the_renewal_and_its_absence_counts(machine: Machine) -> None:
    machine.boot(Lease(lease=HOUR, idle=0, max_time=2 * HOUR))
    machine.later(600)
    machine.kill()
    assert not machine.status().alive
    machine.up += HOUR
    machine.write("uptime", f"{machine.up}.00 1.00\n")

    machine.run(lease.renew_script())
    machine.looked()

    found = machine.status()
    assert (found.alive, found.age, found.left, found.by) == (True, HOUR + 600, HOUR - 600, "max_time")
    assert machine.calls == []


def test_a_killed_watchdog_starts_again_by_itself(machine: Machine) -> None:
    machine.boot(Lease(lease=HOUR, idle=0))
    machine.later(600)
    for _ in range(2):
        machine.kill_watchdog()
    machine.later(HOUR - 600 - POLL)
    assert machine.calls == []

    machine.later(POLL)

    assert machine.calls == ["destroy"]


def test_there_is_never_a_second_one(machine: Machine) -> None:
    machine.boot(Lease(lease=0, idle=0, max_time=HOUR))
    for _ in range(3):
        machine.run(lease.renew_script())
    machine.later(HOUR)

    assert machine.calls == ["destroy"]


def test_it_goes_on_with_what_it_counted_when_the_container_starts_again(machine: Machine) -> None:
    wanted = Lease(lease=HOUR, idle=0)
    machine.boot(wanted)
    machine.later(HOUR - POLL)
    machine.kill()
    machine.up += 50 * HOUR  # the container was down: nothing was billed for its GPU
    machine.write("uptime", f"{machine.up}.00 1.00\n")
    machine.boot(wanted.model_copy(update={"lease": 9 * HOUR}))
    assert machine.status().left == POLL

    machine.later(lease.GRACE * POLL - 1)
    assert machine.calls == []
    machine.later(1)
    assert machine.calls == ["destroy"]


def test_a_host_that_was_started_anew_has_a_new_uptime(machine: Machine) -> None:
    wanted = Lease(lease=HOUR, idle=0)
    machine.boot(wanted)
    machine.later(600)
    machine.kill()
    machine.up = 5
    machine.write("uptime", "5.00 1.00\n")
    machine.boot(wanted)
    machine.later(600)

    assert machine.status().age == 1200


def test_the_key_is_in_one_file_that_only_root_reads(machine: Machine) -> None:
    machine.boot(Lease(lease=HOUR, idle=0))
    machine.answers("403")
    machine.later(HOUR)
    machine.later(30)

    assert KEY not in (machine.root / "calls").read_text()
    holding = [file for file in machine.folder.iterdir() if file.is_file() and KEY in file.read_text()]
    assert [file.name for file in holding] == ["header"]
    assert holding[0].stat().st_mode & 0o077 == 0
    assert machine.folder.stat().st_mode & 0o077 == 0


def test_whatever_happens_on_the_way_a_budget_ends_within_a_look_of_each_restart(machine: Machine) -> None:
    """The bound on overspend: 2 h of $, and at most one look lost each time that something was killed."""
    wanted = NOTHING.model_copy(update={"max_total": 1})
    machine.boot(wanted)
    ran = 0
    for _ in range(3):
        machine.later(1790)
        machine.kill()
        machine.up += POLL  # at worst it had been about to look
        ran += 1790 + POLL
        machine.write("uptime", f"{machine.up}.00 1.00\n")
        machine.boot(wanted)
        machine.run(lease.renew_script())
        machine.looked()
    machine.later(2 * HOUR - ran)
    ran = 2 * HOUR
    while not machine.calls:
        machine.later(POLL)
        ran += POLL

    assert 2 * HOUR <= ran <= 2 * HOUR + 4 * POLL
