"""What bills for nothing, and above all what is never said to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_models import instance

from components.vast.lease import LeaseStatus
from components.vast.orphans import GRACE, Finding, Kind, Machine, State, judge, undecided
from components.vast.request import RentRequest
from components.vast.status import Status, status
from components.vast.tag import Tag
from components.vast.wire import Instance

NOW = 1_800_000_000.0
KEYS = ("fragua:aaaaaaaa:", "fragua:bbbbbbbb:")
STRANGE = (None, "", "train", "train/node", "fragua:aaaaaaaa:", "a fragua:aaaaaaaa:bbbbbbbb:cccccccc")
STATES = (
    ("running", "running", "running"),
    ("running", "stopped", "stopped"),
    ("stopped", "exited", "stopped"),
    ("running", None, "running"),
    ("running", "loading", "running"),
    ("running", "offline", "running"),
)


def rented(id_: int = 5, key: str = KEYS[0], age: float = 86400, **changed: Any) -> Instance:
    """An instance of stack train with that key, rented `age` seconds ago."""
    label = f"train/node {key}bbbbbbbb:cccccccc"
    return instance(**{"id": id_, "label": label, "start_date": NOW - age, "dph_total": 0.5, **changed})


def state(*machines: Machine, **changed: Any) -> State:
    return State(**{"stack": "train", "keys": KEYS[:1], "machines": machines, **changed})


def lease(**changed: Any) -> LeaseStatus:
    calm = {"alive": True, "age": 60, "idle": 0, "spent": 0, "used": 0, "left": 3600, "by": "lease"}
    return LeaseStatus(**{**calm, "ended": "", **changed})


def only(found: list[Finding]) -> Finding:
    [finding] = found
    return finding


instances = st.lists(
    st.builds(
        lambda id_, label, age, words: instance(
            id=id_,
            label=label,
            start_date=age if age is None else NOW - age,
            **dict(zip(("intended_status", "actual_status", "cur_state"), words, strict=True)),
            is_bid=id_ % 2,
            dph_total=id_ / 7,
        ),
        st.integers(1, 12),
        st.sampled_from([*STRANGE, *(f"w/node {key}bbbbbbbb:cccccccc" for key in KEYS)]),
        st.none() | st.floats(0, 1e6),
        st.sampled_from(STATES),
    ),
    max_size=12,
    unique_by=lambda each: each.id,
)
machines = st.builds(
    Machine,
    instance=st.integers(1, 12),
    name=st.just("node"),
    status=st.sampled_from(Status),
    max_time=st.sampled_from([0.0, 3600.0]),
    at_end=st.sampled_from(["stop", "destroy"]),
)
states = st.lists(
    st.builds(
        State,
        stack=st.sampled_from(["train", "infer"]),
        keys=st.sampled_from([(), KEYS[:1], KEYS]),
        machines=st.lists(machines, max_size=3).map(tuple),
        renting=st.sampled_from([0.0, 1e5]),
        trains=st.booleans(),
    ),
    max_size=3,
)


@given(instances, states, st.booleans(), st.sets(st.integers(1, 12)))
def test_only_what_carries_the_label_is_found_and_once_each(
    listed: list[Instance], known: list[State], complete: bool, named: set[int]
) -> None:
    found = judge(listed, known, NOW, complete=complete, named=named)

    assert all(Tag.read(each.instance.label) for each in found)
    assert len({each.instance.id for each in found}) == len(found)
    assert [each.rate for each in found] == sorted((each.rate for each in found), reverse=True)


@given(instances, states)
def test_what_a_state_has_and_runs_within_its_time_is_never_found(
    listed: list[Instance], known: list[State]
) -> None:
    kept = {each.instance for state in known for each in state.machines if not each.max_time}
    limited = {each.instance for state in known for each in state.machines if each.max_time}
    running = {each.id for each in listed if status(each) is Status.RUNNING}

    found = {each.instance.id for each in judge(listed, known, NOW)}

    assert not found & running & (kept - limited)


@given(instances, states)
def test_no_orphan_is_called_that_while_a_stack_cannot_be_read(
    listed: list[Instance], known: list[State]
) -> None:
    found = judge(listed, known, NOW, complete=False)

    assert not any(each.kind is Kind.ORPHAN for each in found)


@given(instances, states, st.floats(0, 1e6))
def test_no_orphan_is_younger_than_the_grace_or_what_an_up_may_wait(
    listed: list[Instance], known: list[State], grace: float
) -> None:
    orphans = [each for each in judge(listed, known, NOW, grace=grace) if each.kind is Kind.ORPHAN]

    assert all(NOW - (each.instance.start_date or NOW) >= grace for each in orphans)


@given(instances, states)
def test_what_may_hold_work_is_left_unless_it_is_named(listed: list[Instance], known: list[State]) -> None:
    for each in judge(listed, known, NOW):
        if each.kind in (Kind.STOPPED, Kind.OFFLINE):
            assert each.action == "leave"


@given(instances, states)
def test_without_any_state_every_old_one_with_the_label_is_an_orphan(
    listed: list[Instance], known: list[State]
) -> None:
    old = {each.id for each in listed if each.start_date and NOW - each.start_date >= GRACE}
    ours = set(undecided(listed, []))

    assert {each.instance.id for each in judge(listed, [], NOW)} == old & ours
    assert set(undecided(listed, known)) <= ours


def test_the_label_that_is_rented_with_is_the_one_that_is_read() -> None:
    node = {"gpu": {"models": ["RTX 4090"]}, "image": "i", "disk": 20, "max_price": 1, "label": "a b/c"}
    request = RentRequest.model_validate(
        {"stack": "train", "name": "node-2", "node": node, "public_key": "ssh-ed25519 A", "private_key": "x"}
    )

    tag = Tag.read(request.label)

    assert tag
    assert (tag.words, tag.name) == ("a b/c", "node-2")
    assert request.owner.startswith(tag.key)


def test_an_orphan_of_no_stack_is_destroyed() -> None:
    finding = only(judge([rented(key=KEYS[1])], [state()], NOW))

    assert (finding.kind, finding.action, finding.rate) == (Kind.ORPHAN, "destroy", 0.5)
    assert finding.why == "rented 24.0 h ago; in no stack's state"


def test_what_an_interrupted_up_left_is_said_to_be_taken_up_by_the_next() -> None:
    finding = only(judge([rented()], [state(Machine(6, "node-2"))], NOW))

    assert "whose state has no node: `pulumi up -s train` takes it up or destroys it" in finding.why


def test_no_up_is_said_to_end_what_another_machine_stands_in_for() -> None:
    finding = only(judge([rented(5), rented(6)], [state(Machine(6, "node"))], NOW))

    assert finding.instance.id == 5
    assert "which has 6 as its node: `pulumi up -s train` leaves this one, " in finding.why
    assert "takes it up" not in finding.why
    assert "`pulumi destroy -s train` destroys it" in finding.why


def test_what_an_up_is_just_renting_is_no_orphan_however_long_it_may_load() -> None:
    assert not judge([rented(age=4000)], [state(renting=5000)], NOW)
    assert judge([rented(age=6000)], [state(renting=5000)], NOW)


def test_a_named_one_is_judged_though_a_stack_cannot_be_read() -> None:
    finding = only(judge([rented(5), rented(6)], [], NOW, complete=False, named=[6]))

    assert finding.instance.id == 6


@pytest.mark.parametrize(
    ("trains", "at_end", "action"),
    [(True, "stop", "stop"), (True, "destroy", "destroy"), (False, "stop", "destroy")],
)
def test_what_is_past_its_time_ends_as_its_job_says(trains: bool, at_end: str, action: str) -> None:
    machine = Machine(5, "node", max_time=3600, at_end=at_end)  # type: ignore[arg-type]
    finding = only(judge([rented(age=7200)], [state(machine, trains=trains)], NOW))

    assert (finding.kind, finding.action) == (Kind.EXPIRED, action)
    assert "past budget.max_time, 60 min" in finding.why


@pytest.mark.parametrize(
    ("said", "kind", "why"),
    [
        ({"ended": "idle for 3600 s: destroy, try 4, HTTP 403"}, Kind.EXPIRED, "could not end it: idle"),
        ({"left": -700.0}, Kind.EXPIRED, "past its limit, lease, for 12 min"),
        ({"alive": False}, Kind.UNWATCHED, "`./fragua renew train` starts it"),
    ],
)
def test_what_a_machine_says_of_its_lease_counts(said: dict[str, Any], kind: Kind, why: str) -> None:
    known = [state(Machine(5, "node"))]
    finding = only(judge([rented()], known, NOW, leases={5: lease(**said)}))

    assert finding.kind is kind
    assert why in finding.why
    assert not judge([rented()], known, NOW, leases={5: lease()})


def test_a_machine_that_never_ran_is_stuck_and_one_that_ran_is_given_its_time() -> None:
    loading = rented(age=1500, actual_status="loading")
    never, once = Machine(5, "node", "provisioning"), Machine(5, "node", "running")

    assert only(judge([loading], [state(never)], NOW)).kind is Kind.STUCK
    assert not judge([loading], [state(once)], NOW)


@pytest.mark.parametrize(
    ("changed", "kind", "rate"),
    [
        ({"actual_status": "exited", "cur_state": "stopped", "is_bid": True}, Kind.STOPPED, 0.02),
        ({"actual_status": "exited", "intended_status": "stopped"}, Kind.STOPPED, 0.02),
        ({"actual_status": "offline"}, Kind.OFFLINE, 0.0),
    ],
)
def test_what_stands_still_is_found_with_what_its_disk_bills(
    changed: dict[str, Any], kind: Kind, rate: float
) -> None:
    halted = rented(**changed, storage_cost=0.144, disk_space=100)
    finding = only(judge([halted], [state(Machine(5, "node"))], NOW))

    assert (finding.kind, finding.action) == (kind, "leave")
    assert finding.rate == pytest.approx(rate)
