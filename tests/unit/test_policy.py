"""What a change of each field does to a rented machine, and what drift of its status does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_models import node, nodes

from components.spec.node import Node
from components.vast import policy
from components.vast.gang import GangProvider
from components.vast.policy import NODE, Change
from components.vast.provider import InstanceProvider
from components.vast.status import Status

MACHINE = {"gpu": "RTX 4090", "gpu_count": 1, "vram": 24564, "status": "running", "instance_id": 5}

REPLACED: dict[str, Any] = {
    "image": "x",
    "disk": 61,
    "env": {"A": "b"},
    "ports": [8000],
    "gpu": {"models": ["A100"]},
}
"""Another value for each field that is fixed in a machine."""

KEPT: dict[str, Any] = {
    "cpu": 9,
    "ram": 99,
    "internet": {"down": 1},
    "max_price": 0.01,
    "reliability": 0.5,
    "verified": False,
    "countries": ["NL"],
    "avoid": ["RU"],
    "datacenter": True,
    "limits": {"attempts": 1},
    "adopt": 5,
}
"""Another value for each field that matters only in the choice; the machine to adopt is the one there is."""


def compare(old: Node, new: Node, machine: dict[str, Any]) -> Change:
    """Compare two nodes as a program declares them."""
    before, after = (each.model_dump(mode="json", exclude_defaults=True) for each in (old, new))
    return policy.compare(before, after, machine)


def test_every_field_of_a_node_has_an_effect() -> None:
    assert (
        NODE.keys() == Node.model_fields.keys() == REPLACED.keys() | KEPT.keys() | {"bid", "label", "preset"}
    )


@given(nodes())
def test_an_unchanged_node_changes_nothing(wanted: Node) -> None:
    machine = {**MACHINE, "instance_id": wanted.adopt or 5}

    assert compare(wanted, wanted, machine) == Change()


def test_a_default_that_is_written_out_is_no_change() -> None:
    written_out = node(cpu=2, env={}, gpu={"models": ["RTX 4090"], "count": 1}, limits={"attempts": 5})

    assert compare(node(), written_out, MACHINE) == Change()


@pytest.mark.parametrize("name", REPLACED)
def test_what_is_fixed_in_a_machine_asks_for_another(name: str) -> None:
    assert compare(node(), node(**{name: REPLACED[name]}), MACHINE) == Change(replace=(name,))


@pytest.mark.parametrize("name", KEPT)
def test_what_matters_only_in_the_choice_keeps_the_machine(name: str) -> None:
    assert compare(node(), node(**{name: KEPT[name]}), MACHINE) == Change()


def test_another_label_is_changed_in_place() -> None:
    assert compare(node(), node(label="mine"), MACHINE) == Change(update=("label",))


ON_DEMAND = {**MACHINE, "interruptible": False}
BY_BID = {**MACHINE, "interruptible": True, "bid": 0.5}


@pytest.mark.parametrize("old", [0.5, "auto"])
@pytest.mark.parametrize("new", [0.6, 0.7])
def test_another_bid_is_changed_in_place(old: float | str, new: float) -> None:
    assert compare(node(bid=old), node(bid=new), BY_BID) == Change(update=("bid",))


@pytest.mark.parametrize(
    ("old", "new", "machine"),
    [(None, 0.5, ON_DEMAND), (0.5, None, BY_BID), ("auto", None, BY_BID), ("auto", 0.5, ON_DEMAND)],
)
def test_on_demand_and_interruptible_cannot_be_switched(
    old: float | str | None, new: float | None, machine: dict[str, Any]
) -> None:
    assert compare(node(bid=old), node(bid=new), machine).replace == ("bid",)


@pytest.mark.parametrize(
    ("old", "new", "machine"),
    [
        (None, "auto", ON_DEMAND),
        ("auto", None, ON_DEMAND),
        ("auto", "auto", BY_BID),
        ("auto", "auto", ON_DEMAND),
    ],
)
def test_a_machine_of_a_kind_that_is_allowed_is_kept(
    old: str | None, new: str | None, machine: dict[str, Any]
) -> None:
    assert compare(node(bid=old), node(bid=new), machine) == Change()


def test_a_bid_that_becomes_auto_only_makes_the_state_say_so() -> None:
    assert compare(node(bid=0.5), node(bid="auto"), BY_BID) == Change(update=("bid",))


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [(None, 0.5, True), (0.5, None, True), (0.5, 0.6, False), (0.5, "auto", False)],
)
def test_a_state_that_does_not_tell_the_kind_is_of_the_kind_that_was_asked_for(
    old: float | None, new: float | str | None, replaced: bool
) -> None:
    assert ("bid" in compare(node(bid=old), node(bid=new), MACHINE).replace) == replaced


@pytest.mark.parametrize(
    ("gpu", "serves"),
    [
        ({"models": ["RTX 4090", "A100"]}, True),
        ({"models": ["A100", "RTX 4090"], "vram": 24, "cuda": 11.8}, True),
        ({"models": ["RTX 4090"], "vram": 16}, True),
        ({"models": ["A100"]}, False),
        ({"models": ["RTX 4090"], "count": 2}, False),
        ({"models": ["RTX 4090", "A100"], "vram": 40}, False),
    ],
)
def test_the_rented_gpu_is_kept_as_long_as_it_serves(gpu: dict[str, Any], serves: bool) -> None:
    change = compare(node(gpu={"models": ["RTX 4090"], "vram": 20}), node(gpu=gpu), MACHINE)

    assert change == Change(replace=() if serves else ("gpu",))


def test_a_family_is_served_by_each_of_its_members() -> None:
    machine = {**MACHINE, "gpu": "A100 SXM4", "vram": 81559}

    assert compare(node(gpu={"models": ["A100 SXM4"]}), node(gpu={"models": ["A100"]}), machine) == Change()


@pytest.mark.parametrize(
    ("old", "new", "replace"),
    [(None, 5, ()), (5, None, ()), (None, 6, ("adopt",)), (5, 6, ("adopt",)), (6, 6, ("adopt",))],
)
def test_a_machine_is_replaced_by_the_one_to_adopt_unless_it_is_that(
    old: int | None, new: int | None, replace: tuple[str, ...]
) -> None:
    assert compare(node(adopt=old), node(adopt=new), MACHINE) == Change(replace)


DRIFT = {
    Status.RUNNING: Change(),
    Status.PROVISIONING: Change(),
    Status.OFFLINE: Change(),
    Status.STOPPED: Change(update=("status",)),
    Status.OUTBID: Change(replace=("status",)),
    Status.SCHEDULING: Change(replace=("status",)),
    Status.CRASHED: Change(replace=("status",)),
}


@pytest.mark.parametrize("state", Status)
def test_drift_of_the_status_asks_for_what_mends_it(state: Status) -> None:
    """An offline host may come back with the data, so it is waited for."""
    assert compare(node(bid=0.5), node(bid=0.5), {**MACHINE, "status": str(state)}) == DRIFT[state]


def test_a_raised_bid_is_tried_before_another_machine() -> None:
    outbid = {**MACHINE, "status": "outbid"}

    assert compare(node(bid=0.5), node(bid=0.6), outbid) == Change(update=("bid", "status"))


@given(nodes(), nodes(), st.sampled_from(list(Status)))
def test_any_two_nodes_can_be_compared(old: Node, new: Node, state: Status) -> None:
    change = compare(old, new, {**MACHINE, "status": str(state)})

    assert set(change.replace + change.update) <= {*NODE, "status"}
    assert all(getattr(old, name) != getattr(new, name) for name in change.update if name != "status")


@pytest.mark.parametrize("before", [None, {"work": {"kind": "up", "disk": 60}}])
@pytest.mark.parametrize("after", [None, {"work": {"kind": "lora", "disk": 60}, "approved": 2.0}])
def test_what_was_approved_never_changes_what_is_rented(
    before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    """The market moves every hour, and what is shown with it."""
    wanted = node().model_dump(mode="json", exclude_defaults=True)
    declared = {"stack": "s", "name": "node", "public_key": "k", "node": wanted}
    olds, news = {**declared, "purchase": before}, {**declared, "purchase": after}
    gang = {**olds, "count": 1, "machines": [MACHINE]}

    assert not InstanceProvider().diff("5", {**olds, **MACHINE}, news).changes
    assert not GangProvider().diff("gang-5", gang, {**news, "count": 1}).changes
