"""Renting: what a create call may say, and every way in which an offer can be gone."""

from __future__ import annotations

from typing import Any

import pytest
from rest_client import Client


def create(api: Client, offer_id: int, **fields: Any) -> tuple[int, Any]:
    body = {"image": "ubuntu:22.04", "disk": 10, **fields}
    return api.call("PUT", f"/api/v0/asks/{offer_id}/", body)


def test_create_answers_the_contract_and_its_own_key(api: Client):
    status, answer = create(api, api.offer()["id"])
    assert status == 200
    assert set(answer) == {"success", "new_contract", "instance_api_key"}
    assert answer["success"] is True
    assert len(answer["instance_api_key"]) == 64


def test_each_offer_makes_one_instance(api: Client):
    offer = api.offer()
    api.rent(offer["id"])
    status, answer = create(api, offer["id"])
    assert (status, answer["error"], answer["ask_id"]) == (404, "invalid_args", offer["id"])
    assert "no_such_ask" in answer["msg"]


def test_after_destroy_the_machine_is_offered_under_a_new_id(api: Client):
    offer = api.offer()
    number = api.rent(offer["id"])
    api.ok("DELETE", f"/api/v0/instances/{number}/", {})
    again = api.search(machine_id={"eq": offer["machine_id"]}, num_gpus={"eq": offer["num_gpus"]})
    assert again
    assert offer["id"] not in {found["id"] for found in again}


def test_an_offer_that_was_taken_is_410_unless_a_stopped_contract_is_accepted(api: Client):
    offer = api.offer()
    api.ok("POST", f"/_sim/offers/{offer['id']}/take", {"seconds": 600})
    assert offer["id"] not in {found["id"] for found in api.search(limit=1000)}
    status, answer = create(api, offer["id"], cancel_unavail=True)
    assert (status, answer["error"]) == (410, "no_such_ask")
    assert create(api, offer["id"])[0] == 410, "on demand it is the default"
    status, answer = create(api, offer["id"], cancel_unavail=False)
    assert status == 200
    waiting = api.instance(answer["new_contract"])
    assert waiting["intended_status"] == "running"
    assert waiting["cur_state"] == "stopped"
    assert waiting["actual_status"] in ("stopped", "exited")
    api.advance(1200)
    assert api.instance(answer["new_contract"])["actual_status"] == "running"


def test_a_delisted_offer_is_404(api: Client):
    offer = api.offer()
    api.ok("POST", f"/_sim/offers/{offer['id']}/take", {"delist": True})
    status, answer = create(api, offer["id"])
    assert (status, answer["error"]) == (404, "invalid_args")


def test_a_slice_goes_when_an_overlapping_one_is_rented(api: Client):
    whole = api.offer(num_gpus={"eq": 4})
    same = {"machine_id": {"eq": whole["machine_id"]}, "rented": {"eq": True}}
    single = api.search(num_gpus={"eq": 1}, **same)[0]
    api.rent(single["id"])
    assert create(api, whole["id"])[0] == 410
    assert {offer["num_gpus"] for offer in api.search(**same)} == {1, 2}


def test_a_price_makes_it_interruptible_even_without_a_bid_search(api: Client):
    offer = api.offer()
    number = api.rent(offer["id"], price=offer["min_bid"] + 0.01)
    instance = api.instance(number)
    assert instance["is_bid"] is True
    assert instance["dph_base"] == pytest.approx(offer["min_bid"] + 0.01)


def test_no_price_is_on_demand_even_after_a_bid_search(api: Client):
    offer = api.offer(type="bid")
    instance = api.instance(api.rent(offer["id"], price=None))
    assert instance["is_bid"] is False
    assert instance["dph_base"] > offer["dph_base"]


def test_a_bid_that_is_too_low_leaves_a_stopped_contract_or_fails(api: Client):
    offer = api.offer()
    low = offer["min_bid"] * 0.5
    assert create(api, offer["id"], price=low, cancel_unavail=True)[0] == 410
    status, answer = create(api, offer["id"], price=low)
    assert status == 200, "for bids cancel_unavail is off by default"
    assert api.instance(answer["new_contract"])["cur_state"] == "stopped"
    assert api.bill()["gpu_billing_now"] == 0
    assert api.bill()["billing_now"] == 1


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"image": None}, "invalid_args", "image"),
        ({"image": "x" * 1025}, "invalid_args", "image"),
        ({"disk": 7.9}, "invalid_args", "disk"),
        ({"disk": 1e6}, "invalid_args", "disk"),
        ({"disk": "20"}, "invalid_args", "disk"),
        ({"label": "x" * 257}, "invalid_args", "label"),
        ({"price": 0.0001}, "invalid_price", "price"),
        ({"price": 129}, "invalid_price", "price"),
        ({"env": "-e A=b"}, "invalid_args", "env"),
        ({"env": {"A": 1}}, "invalid_args", "env"),
        ({"env": {"A": "x" * 257}}, "invalid_args", "env"),
        ({"env": {f"A{n}": "x" * 250 for n in range(200)}}, "invalid_args", "env"),
        ({"onstart": "x" * 4097}, "invalid_args", "onstart"),
        ({"onstart": "x" * 4000, "args_str": "y" * 100}, "invalid_args", "onstart"),
        ({"runtype": "jupyter_direct"}, "invalid_args", "Jupyter"),
        ({"runtype": "shell"}, "invalid_args", "runtype"),
        ({"vm": True}, "invalid_args", "vm"),
        ({"volume_info": {"volume_id": 1}}, "invalid_args", "volume_info"),
        ({"template_hash_id": "nope"}, "invalid_args", "template_hash_id"),
        ({"target_state": "paused"}, "invalid_args", "target_state"),
        ({"cancel_unavail": "yes"}, "invalid_args", "cancel_unavail"),
    ],
)
def test_a_wrong_body_is_refused_by_name_and_rents_nothing(api: Client, fields: Any, code: str, named: str):
    offer = api.offer()
    status, answer = create(api, offer["id"], **fields)
    assert (status, answer["error"], answer["ask_id"]) == (400, code, offer["id"])
    assert named in answer["msg"]
    assert api.bill()["contracts"] == []


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (None, "ssh ssh_proxy"),
        ("ssh", "ssh ssh_proxy"),
        ("ssh_direct", "ssh ssh_direc ssh_proxy"),
        ("ssh_direc ssh_proxy", "ssh ssh_direc ssh_proxy"),
        ("args", "args"),
    ],
)
def test_a_runtype_reads_back_as_another_text(api: Client, sent: str | None, read: str):
    number = api.rent(api.offer()["id"], runtype=sent)
    assert api.instance(number)["image_runtype"] == read


def test_the_env_reads_back_as_pairs_ports_included(api: Client):
    number = api.rent(api.offer()["id"], env={"A": "b", "-p 8188:8188": "1"})
    assert api.instance(number)["extra_env"] == [["A", "b"], ["-p 8188:8188", "1"]]


def test_a_bulk_create_rents_what_is_there_and_says_nothing_more(api: Client):
    ids = [offer["id"] for offer in api.search(num_gpus={"eq": 1}, limit=3)]
    api.ok("POST", f"/_sim/offers/{ids[1]}/take", {})
    answer = api.ok("POST", "/api/v0/asks/bulk/", {"image": "ubuntu", "ids": [*ids, 1], "label": "gang"})
    assert answer == {"success": True}
    rows = api.ok("GET", "/api/v1/instances/", select_filters={"label": {"eq": "gang"}})["instances"]
    assert len(rows) == 2


def test_launch_rents_the_first_offer_of_a_search_and_answers_text(api: Client):
    query = {"gpu_name": {"eq": "RTX 4090"}, "num_gpus": {"eq": 1}, "order": [["dph_total", "asc"]]}
    cheapest = api.search(**query)[0]
    answer = api.ok(
        "PUT", "/api/v0/launch_instance/", {"q": query, "image": "ubuntu", "disk": 10, "num_gpus": 1}
    )
    assert isinstance(answer["new_contract"], str)
    assert api.instance(int(answer["new_contract"]))["machine_id"] == cheapest["machine_id"]
    nothing = {"q": {"gpu_name": {"eq": "VGA"}}, "image": "ubuntu", "disk": 10, "num_gpus": 1}
    assert api.call("PUT", "/api/v0/launch_instance/", nothing)[0] == 404


def test_without_credit_nothing_is_rented(api: Client):
    api.ok("POST", "/_sim/credit", {"set": 0})
    status, answer = create(api, api.offer()["id"])
    assert (status, answer["error"]) == (400, "insufficient_credit")


def test_target_state_stopped_makes_a_contract_without_gpus(api: Client):
    offer = api.offer()
    number = api.rent(offer["id"], target_state="stopped")
    api.advance(60)
    instance = api.instance(number)
    assert (instance["intended_status"], instance["cur_state"]) == ("stopped", "stopped")
    assert api.bill()["gpu"] == 0
