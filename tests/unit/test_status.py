"""What Vast.ai's status fields mean together: its documented table, row by row, and what clients learned."""

from __future__ import annotations

from itertools import product

import pytest
from unit_models import instance

from components.vast.status import Status, status

TABLE = [
    # intended, actual, cur_state, is_bid: meaning
    ("running", ["running"], ["running"], [False, True], Status.RUNNING),
    ("running", [None, "created", "loading"], ["running"], [False, True], Status.PROVISIONING),
    ("running", ["stopped", "exited"], ["stopped"], [True], Status.OUTBID),
    ("running", ["stopped", "exited"], ["stopped"], [False], Status.SCHEDULING),
    ("running", ["exited"], ["running"], [False, True], Status.CRASHED),
    ("stopped", ["stopped", "exited"], ["stopped"], [False, True], Status.STOPPED),
    ("running", ["offline", "unknown"], ["running", "stopped"], [False, True], Status.OFFLINE),
    ("stopped", ["offline", "unknown"], ["stopped"], [False, True], Status.OFFLINE),
    ("frozen", ["frozen"], ["running"], [False, True], Status.RUNNING),
    ("running", ["rebooting", "recycling", "restarting"], ["running"], [False, True], Status.PROVISIONING),
]
ROWS = [
    (intended, actual, cur, is_bid, meaning)
    for intended, actuals, curs, bids, meaning in TABLE
    for actual, cur, is_bid in product(actuals, curs, bids)
]

DEAD = [
    "Error response from daemon: toomanyrequests",
    "failed to pull image vastai/pytorch",
    "write /var/lib/docker: no space left on device",
    "manifest unknown: manifest unknown",
    "pull access denied: unauthorized: authentication required",
    "unexpected EOF",
    "x: OCI runtime create failed: runc create failed",
]


@pytest.mark.parametrize(("intended", "actual", "cur", "is_bid", "meaning"), ROWS)
def test_the_fields_together_have_the_documented_meaning(
    intended: str, actual: str | None, cur: str, is_bid: bool, meaning: Status
) -> None:
    found = instance(intended_status=intended, actual_status=actual, cur_state=cur, is_bid=is_bid)

    assert status(found) is meaning


@pytest.mark.parametrize("words", DEAD)
@pytest.mark.parametrize("actual", [None, "created", "loading"])
def test_a_container_that_cannot_start_is_told_from_one_that_loads(actual: str | None, words: str) -> None:
    assert status(instance(actual_status=actual, status_msg=words)) is Status.CRASHED


@pytest.mark.parametrize(
    "words", [None, "", "success, running vastai/pytorch/ssh", "Pulling from vastai/pytorch"]
)
def test_a_container_that_loads_is_given_time(words: str | None) -> None:
    assert status(instance(actual_status="loading", status_msg=words)) is Status.PROVISIONING


@pytest.mark.parametrize("words", DEAD)
def test_a_running_container_is_not_judged_by_an_old_message(words: str) -> None:
    assert status(instance(actual_status="running", status_msg=words)) is Status.RUNNING
