"""The label by which machines are found again, what the market is asked for, and that keys stay secret."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_models import TEXT, node, nodes

from components.spec.node import Node
from components.vast.request import RentRequest

SECRET = "-----BEGIN OPENSSH PRIVATE KEY----- c2VjcmV0"


def request(wanted: Node | None = None, **changed: Any) -> RentRequest:
    values = {"stack": "train", "name": "node", "public_key": "ssh-ed25519 AAAA", "private_key": SECRET}
    return RentRequest.model_validate({**values, "node": wanted or node(), **changed})


# Pulumi's own limits are 100 characters for a stack; names of resources are short words of ours.
STACKS = st.from_regex(r"[A-Za-z0-9_.-]{1,100}", fullmatch=True)
NAMES = st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True)


@given(nodes(), STACKS, NAMES)
def test_a_label_has_at_most_the_characters_that_the_api_takes(wanted: Node, stack: str, name: str) -> None:
    assert len(request(wanted, stack=stack, name=name).label) <= 256


@given(nodes(), STACKS, NAMES)
def test_a_label_holds_owner_and_fit(wanted: Node, stack: str, name: str) -> None:
    asked = request(wanted, stack=stack, name=name)

    assert re.fullmatch(r"fragua:[0-9a-f]{8}:[0-9a-f]{8}:", asked.owner)
    assert re.fullmatch(re.escape(asked.owner) + r"[0-9a-f]{8}", asked.tag)
    assert asked.label.endswith(f" {asked.tag}")


def test_a_label_begins_with_the_stack_or_with_the_words_of_the_user() -> None:
    assert request().label.startswith("train/node fragua:")
    assert request(node(label="my words")).label.startswith("my words/node fragua:")


@pytest.mark.parametrize(
    "other", [{"public_key": "ssh-ed25519 BBBB"}, {"name": "node-2"}], ids=["another key", "another name"]
)
def test_another_key_or_resource_is_another_owner(other: dict[str, Any]) -> None:
    assert request(**other).owner != request().owner


@given(TEXT, TEXT, TEXT, TEXT)
def test_owners_are_equal_only_for_the_same_key_and_name(key: str, name: str, key2: str, name2: str) -> None:
    one, other = request(public_key=key, name=name), request(public_key=key2, name=name2)

    assert (one.owner == other.owner) == ((key, name) == (key2, name2))


@pytest.mark.parametrize(
    "other",
    [{"image": "x"}, {"disk": 61}, {"env": {"A": "b"}}, {"bid": 0.1}, {"gpu": {"models": ["A100"]}}],
    ids=str,
)
def test_a_leftover_for_another_need_does_not_fit(other: dict[str, Any]) -> None:
    assert request(node(**other)).tag != request().tag


@pytest.mark.parametrize(
    "other",
    [{"label": "mine"}, {"max_price": 9}, {"cpu": 9}, {"limits": {"attempts": 1}}, {"countries": ["NL"]}],
    ids=str,
)
def test_a_leftover_fits_whatever_matters_only_in_the_choice(other: dict[str, Any]) -> None:
    assert request(node(**other)).tag == request().tag


def test_a_leftover_of_another_bid_fits() -> None:
    assert request(node(bid=0.1)).tag == request(node(bid=0.2)).tag


def test_a_leftover_of_auto_is_of_either_kind_and_serves_nobody_else() -> None:
    tags = {request(node(bid=bid)).tag for bid in (None, 0.1, "auto")}

    assert len(tags) == 3


def test_the_tags_of_earlier_versions_are_what_they_were() -> None:
    """A machine that an interrupted run of an earlier version rented is still found."""
    assert request().tag == "fragua:9de8a231:545ea538:48fc12da"
    assert request(node(bid=0.1)).tag == "fragua:9de8a231:545ea538:1d09fb02"


def test_a_gang_bids_only_where_it_is_told_to() -> None:
    assert request(node(bid="auto"), count=2).market.bid is None
    assert request(node(bid="auto")).market.bid == "auto"
    assert request(node(bid=0.1), count=2).market.bid == 0.1


def test_where_nothing_was_approved_anything_may_be_rented_for_a_day() -> None:
    allowed = request().allowed

    assert (allowed.work.kind, allowed.work.hours, allowed.work.disk) == ("up", 24, 60)
    assert (allowed.max_total, allowed.approved, allowed.hours, allowed.classes) == (None, None, None, ())


def test_a_purchase_is_read_as_pulumi_hands_it_over() -> None:
    """Numbers are floats there, and what is null is left out."""
    work = {"kind": "lora", "images": 3000.0, "saves": 5.0, "batch": 2.0, "disk": 60.0}
    classes = [{"gpu": "RTX 4090", "gpus": 1.0, "max_price": 1.0}]
    found = request(purchase={"work": work, "approved": 2.0, "classes": classes}).allowed

    assert (found.work.saves, found.approved, found.classes[0].gpus) == (5, 2, 1)


def test_the_order_of_gpus_and_of_the_environment_is_no_difference() -> None:
    one = node(gpu={"models": ["RTX 4090", "A100"]}, env={"A": "1", "B": "2"})
    other = node(gpu={"models": ["A100", "RTX 4090"]}, env={"B": "2", "A": "1"})

    assert request(one).tag == request(other).tag


def test_on_demand_names_no_price() -> None:
    """The mere presence of a price, even null, would make the contract interruptible."""
    assert "price" not in request().body()


def test_a_bid_is_the_price() -> None:
    assert request().body(0.25)["price"] == 0.25


def test_the_request_fails_where_the_machine_is_not_available() -> None:
    assert request().body()["cancel_unavail"] is True


def test_the_request_says_what_the_node_says() -> None:
    asked = request(node(env={"A": "b"}))
    body = asked.body()

    assert (body["image"], body["disk"], body["env"]) == ("vastai/pytorch", 60, {"A": "b"})
    assert body["label"] == asked.label
    assert body["runtype"].split() == ["ssh_direc", "ssh_proxy"]


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        lambda asked: str(asked.model_dump()),
        lambda asked: asked.model_dump_json(),
        lambda asked: str(asked.body()),
    ],
    ids=["repr", "str", "dump", "json", "body"],
)
def test_the_private_key_is_never_shown(shown: Any) -> None:
    assert "BEGIN" not in shown(request())
    assert "c2VjcmV0" not in shown(request())


def test_the_private_key_is_not_in_the_error_about_another_field() -> None:
    with pytest.raises(ValueError, match="count") as caught:
        request(count=0)

    assert "c2VjcmV0" not in str(caught.value)


def test_the_private_key_is_not_in_the_error_about_a_missing_field() -> None:
    with pytest.raises(ValueError, match="stack") as caught:
        RentRequest.model_validate({"name": "n", "node": node(), "public_key": "k", "private_key": SECRET})

    assert "c2VjcmV0" not in str(caught.value)
