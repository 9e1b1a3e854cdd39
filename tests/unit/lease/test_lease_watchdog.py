"""The watchdog of a machine: when it ends it, and how."""

from __future__ import annotations

import re

import pytest
from lease_machine import URL, Machine

from components.vast import lease
from components.vast.lease import Lease

HOUR = 3600
NOTHING = Lease(lease=0, idle=0)
POLL = lease.POLL
PAUSES = (30, 60, 120, 300, 300)
"""Seconds between one try and the next."""


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"lease": HOUR}, "not renewed for 3600 s"),
        ({"idle": HOUR}, "idle for 3600 s"),
        ({"max_time": HOUR}, "max_time is over"),
        ({"max_total": 0.5}, "max_total is spent"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_limit_destroys_the_machine_when_it_is_reached_and_not_before(
    machine: Machine, wanted: dict[str, float], why: str
) -> None:
    machine.boot(NOTHING.model_copy(update=wanted))
    machine.later(HOUR - POLL)
    assert machine.calls == []
    assert machine.status().left == POLL

    machine.later(POLL)

    assert machine.calls == ["destroy"]
    assert machine.status().ended == f"{why}: destroy, try 1, HTTP 200"


def test_without_limits_nothing_ends_it(machine: Machine) -> None:
    machine.boot(NOTHING)
    machine.later(400 * HOUR)

    assert machine.calls == []
    assert machine.status().left is None


def test_only_the_uptime_counts_however_wrong_the_clock_is(machine: Machine) -> None:
    machine.boot(Lease(lease=8, idle=0))
    for _ in range(10):
        machine.looked()

    assert machine.calls == []
    assert not re.search(r"\bdate\b|SECONDS|EPOCH", lease.start_script("", URL))


def test_a_renewed_lease_holds_and_a_new_one_may_be_longer(machine: Machine) -> None:
    machine.boot(Lease(lease=HOUR, idle=0))
    for _ in range(5):
        machine.later(HOUR - POLL)
        machine.run(lease.renew_script())
        machine.looked()
    assert machine.calls == []

    machine.run(lease.renew_script(Lease(lease=3 * HOUR, idle=0).limits()))
    machine.looked()
    machine.later(3 * HOUR - POLL)
    assert machine.calls == []
    machine.later(POLL)
    assert machine.calls == ["destroy"]


def test_a_command_that_only_watches_is_no_work_and_a_person_s_word_is(machine: Machine) -> None:
    machine.boot(Lease(lease=0, idle=HOUR))
    machine.later(HOUR - POLL)
    machine.run(lease.renew_script())
    machine.looked()
    assert machine.status().idle == HOUR - POLL

    machine.run(lease.renew_script(used=True))
    machine.looked()

    assert machine.status().idle == 0


def test_work_on_any_gpu_and_traffic_keep_it(machine: Machine) -> None:
    machine.boot(Lease(lease=0, idle=HOUR))
    machine.later(HOUR - POLL)
    machine.gpu(0, 40)
    machine.later(2 * HOUR)
    machine.gpu(0, 4)
    machine.later(HOUR - POLL)
    machine.network(200_000_000)
    machine.later(2 * POLL)
    assert machine.status().idle == 0
    machine.later(HOUR - POLL)
    assert machine.calls == []

    machine.later(POLL)

    assert machine.calls == ["destroy"]


def test_images_that_are_made_between_two_looks_keep_it(machine: Machine) -> None:
    log = machine.root / "workspace/.fragua/jobs/comfyui/log"
    log.parent.mkdir(parents=True)
    log.write_text("starting\n")
    machine.boot(Lease(lease=0, idle=HOUR))
    for _ in range(3):
        machine.later(HOUR - POLL)
        with log.open("a") as file:
            file.write("got prompt\nPrompt executed in 3.21 seconds\n")
        machine.later(POLL)
    assert machine.calls == []

    with log.open("a") as file:
        file.write("comfyui ended with exit code 1; starting it again\n")
    machine.later(HOUR)

    assert machine.calls == ["destroy"]


def test_a_gpu_that_cannot_be_read_does_no_work(machine: Machine) -> None:
    machine.boot(Lease(lease=0, idle=HOUR))
    machine.write("gpu", "Failed to initialize NVML: Unknown Error\n")
    machine.later(HOUR)

    assert machine.calls == ["destroy"]


def test_a_new_price_counts_from_when_it_is_told(machine: Machine) -> None:
    wanted = NOTHING.model_copy(update={"max_total": 2})
    machine.boot(wanted)
    machine.later(2 * HOUR)
    machine.run(lease.renew_script(rate=1.0))
    machine.looked()
    assert machine.status().spent == 1

    machine.later(HOUR - POLL)
    assert machine.calls == []
    machine.later(POLL)
    assert machine.calls == ["destroy"]


def test_what_traffic_and_earlier_machines_cost_is_kept_whatever_is_told_later(machine: Machine) -> None:
    wanted = NOTHING.model_copy(update={"max_total": 2})
    machine.boot(wanted, aside=0.25, before=0.25)
    machine.looked()
    assert machine.status().used == 0.5
    machine.run(lease.renew_script(before=0.75))
    told = (
        lease.renew_script(),
        lease.renew_script(before=0.5),
        lease.renew_script(wanted.model_copy(update={"max_time": 9 * HOUR}).limits(), used=True),
        lease.renew_script(rate=0.5),
    )
    for script in told:
        machine.run(script)
        machine.looked()
        assert (machine.status().spent, machine.status().used) == (0, 1)
        assert (machine.status().left, machine.status().by) == (2 * HOUR, "max_total")
    machine.kill()
    machine.boot(wanted)
    machine.later(2 * HOUR - POLL)
    assert machine.calls == []

    machine.later(POLL)

    assert machine.calls == ["destroy"]


def test_a_limit_on_dollars_that_is_set_later_counts_what_was_spent_before(machine: Machine) -> None:
    machine.boot(NOTHING, aside=0.5)
    machine.later(HOUR)
    machine.run(lease.renew_script(NOTHING.model_copy(update={"max_total": 2}).limits()))
    machine.looked()

    assert machine.status().left == 2 * HOUR


def test_checkpoints_that_are_here_alone_are_kept_by_stopping(machine: Machine) -> None:
    machine.work("train-cats-v2-1")
    machine.boot(Lease(lease=HOUR, idle=0))
    machine.later(HOUR)

    assert machine.calls == ["stop"]


def test_they_are_not_if_the_job_says_so(machine: Machine) -> None:
    machine.work("train-cats-v2-1")
    machine.boot(Lease(lease=HOUR, idle=0, at_end="destroy"))
    machine.later(HOUR)

    assert machine.calls == ["destroy"]


def test_what_is_at_home_needs_no_machine(machine: Machine) -> None:
    machine.work("train-cats-v2-1")
    machine.work("train-cats-v2-2")
    machine.boot(Lease(lease=HOUR, idle=0))
    machine.run(lease.fetched_script("cats-v2", ends=False))
    machine.later(HOUR)

    assert machine.calls == ["destroy"]


def test_a_finished_training_ends_its_machine_after_a_quarter_of_an_hour(machine: Machine) -> None:
    machine.work("train-cats-1")
    machine.gpu(97)
    machine.boot(Lease(lease=0, idle=0))
    machine.later(HOUR)
    machine.run(lease.fetched_script("cats"))
    machine.later(HOUR)
    assert machine.calls == []
    machine.gpu(0)
    machine.later(900 - POLL)
    assert machine.calls == []

    machine.later(POLL)

    assert machine.calls == ["destroy"]


def test_what_is_in_its_bucket_needs_no_machine_either(machine: Machine) -> None:
    """While it is pushed the machine is stopped at its limit; where it failed there is time to mend it."""
    machine.work("train-cats-1")
    machine.boot(Lease(lease=0, idle=HOUR))
    machine.work("push-cats")
    machine.later(HOUR)
    assert machine.calls == ["stop"]

    machine.ended("push-cats", 2)
    machine.run(lease.renew_script(used=True))
    machine.looked()
    machine.later(HOUR - POLL)
    assert machine.calls == ["stop"]
    machine.later(POLL)
    assert machine.calls == ["stop", "destroy"]


@pytest.mark.parametrize("kept", [False, True])
def test_a_training_that_is_in_its_bucket_ends_its_machine_unless_more_is_to_come(
    machine: Machine, kept: bool
) -> None:
    machine.work("train-cats-1")
    machine.work("train-cats-2")
    machine.boot(Lease(lease=0, idle=0))
    machine.ended("push-cats", 0)
    if kept:
        machine.run(lease.fetched_script("cats", ends=False))
    machine.later(900 - POLL)
    assert machine.calls == []
    machine.later(POLL)
    assert machine.calls == ([] if kept else ["destroy"])

    machine.run(lease.fetched_script("cats"))
    machine.later(POLL)
    assert machine.calls[-1:] == ["destroy"]


def test_the_next_training_is_not_ended_with_the_one_before(machine: Machine) -> None:
    machine.work("train-cats-1")
    machine.boot(Lease(lease=0, idle=0))
    machine.run(lease.fetched_script("cats"))
    machine.work("train-dogs-1")
    machine.later(HOUR)

    assert machine.calls == []


def test_with_the_api_down_it_ends_the_work_and_tries_until_it_is_up(machine: Machine) -> None:
    machine.work("comfyui")
    machine.boot(Lease(lease=HOUR, idle=0))
    machine.answers("000")
    machine.later(HOUR)
    assert machine.working("comfyui")
    for pause in PAUSES:
        machine.later(pause - 1)
        tried = len(machine.calls)
        machine.later(1)
        assert len(machine.calls) == tried + 1
    assert not machine.working("comfyui")

    machine.answers("200")
    machine.later(300)

    assert machine.calls == ["destroy"] * 7
    assert machine.status().ended == "not renewed for 4710 s: destroy, try 7, HTTP 200"


def test_who_comes_back_while_the_api_is_down_keeps_the_machine(machine: Machine) -> None:
    machine.work("comfyui")
    machine.boot(Lease(lease=HOUR, idle=0))
    machine.answers("503")
    machine.later(HOUR)
    assert machine.status().ended

    machine.run(lease.renew_script())
    machine.looked()
    machine.later(HOUR - POLL)

    assert machine.calls == ["destroy"]
    assert machine.working("comfyui")
    assert not machine.status().ended


@pytest.mark.parametrize("status", ["401", "403", "404"])
def test_a_refused_key_ends_the_work_at_once_and_stopping_is_tried(machine: Machine, status: str) -> None:
    machine.work("comfyui")
    machine.boot(Lease(lease=HOUR, idle=0))
    machine.answers(status)
    machine.later(HOUR)
    assert not machine.working("comfyui")

    machine.later(30)
    machine.later(60)

    assert machine.calls == ["destroy", "stop", "destroy"]


def test_it_stays_at_it_where_the_api_says_yes_and_does_nothing(machine: Machine) -> None:
    machine.work("comfyui")
    machine.boot(Lease(lease=HOUR, idle=0))
    machine.later(HOUR)
    for pause in PAUSES[:2]:
        assert machine.working("comfyui")
        machine.later(pause)

    assert machine.calls == ["destroy"] * 3
    assert not machine.working("comfyui")
