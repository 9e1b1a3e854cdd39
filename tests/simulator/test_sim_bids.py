"""Interruptible contracts: outbid, resumed, raised."""

from __future__ import annotations

from typing import Any

import pytest
from rest_client import Client


def bid(api: Client, factor: float = 1.1) -> tuple[dict[str, Any], dict[str, Any]]:
    offer = api.offer()
    number = api.rent(offer["id"], price=round(offer["min_bid"] * factor, 4))
    api.advance(900)
    return offer, api.instance(number)


def test_an_outbid_instance_is_stopped_keeps_its_disk_and_resumes_by_itself(api: Client):
    _, instance = bid(api)
    path = f"/_sim/instances/{instance['id']}"
    api.ok("POST", f"{path}/outbid", {})
    outbid = api.instance(instance["id"])
    assert (outbid["intended_status"], outbid["cur_state"]) == ("running", "stopped")
    assert outbid["actual_status"] in ("stopped", "exited")
    assert outbid["min_bid"] > instance["dph_base"]
    bill = api.bill()
    assert (bill["billing_now"], bill["gpu_billing_now"]) == (1, 0)
    api.ok("POST", f"{path}/restore", {})
    api.advance(60)
    assert api.instance(instance["id"])["actual_status"] == "running"


def test_raising_the_bid_wins_the_machine_back_at_the_new_price(api: Client):
    _, instance = bid(api)
    api.ok("POST", f"/_sim/instances/{instance['id']}/outbid", {})
    price = api.instance(instance["id"])["min_bid"] + 0.01
    api.ok("PUT", f"/api/v0/instances/bid_price/{instance['id']}/", {"client_id": "me", "price": price})
    api.advance(60)
    again = api.instance(instance["id"])
    assert again["actual_status"] == "running"
    assert again["dph_base"] == pytest.approx(price)


def test_a_null_price_takes_the_winning_bid(api: Client):
    _, instance = bid(api)
    api.ok("POST", f"/_sim/instances/{instance['id']}/outbid", {})
    api.ok("PUT", f"/api/v0/instances/bid_price/{instance['id']}/", {"client_id": "me", "price": None})
    again = api.instance(instance["id"])
    assert again["cur_state"] == "running"
    assert again["dph_base"] >= again["min_bid"]


def test_lowering_the_bid_below_the_market_stops_it(api: Client):
    offer, instance = bid(api)
    low = offer["min_bid"] * 0.5
    api.ok("PUT", f"/api/v0/instances/bid_price/{instance['id']}/", {"client_id": "me", "price": low})
    assert api.instance(instance["id"])["cur_state"] == "stopped"


def test_a_rising_market_outbids(api: Client):
    _, instance = bid(api)
    api.ok("POST", "/_sim/price", {"multiply": 2})
    assert api.instance(instance["id"])["cur_state"] == "stopped"
    api.ok("POST", "/_sim/price", {"multiply": 0.5})
    api.advance(60)
    assert api.instance(instance["id"])["actual_status"] == "running"


def test_a_rising_market_leaves_on_demand_contracts_alone(api: Client):
    instance = api.running()
    api.ok("POST", "/_sim/price", {"multiply": 10})
    api.advance(3600)
    after = api.instance(instance["id"])
    assert after["actual_status"] == "running"
    assert after["dph_total"] == instance["dph_total"]


@pytest.mark.parametrize("price", [0, 33, "1", -1])
def test_a_bid_out_of_range_is_refused(api: Client, price: Any):
    _, instance = bid(api)
    status, answer = api.call("PUT", f"/api/v0/instances/bid_price/{instance['id']}/", {"price": price})
    assert (status, answer["error"]) == (400, "invalid_args")


def test_an_on_demand_instance_has_no_bid_to_change(api: Client):
    number = api.running()["id"]
    assert api.call("PUT", f"/api/v0/instances/bid_price/{number}/", {"price": 1})[0] == 400
    assert api.call("POST", f"/_sim/instances/{number}/outbid", {})[0] == 400


def test_somebody_who_rents_on_demand_beats_a_bid(api: Client):
    _, instance = bid(api)
    again = api.search(
        machine_id={"eq": instance["machine_id"]}, rented={"eq": True}, rentable={}, limit=1000
    )
    mine = [offer for offer in again if offer["num_gpus"] == instance["num_gpus"] and not offer["rentable"]]
    for offer in mine:
        api.ok("POST", f"/_sim/offers/{offer['id']}/take", {"seconds": 3600})
    assert api.instance(instance["id"])["cur_state"] == "stopped"
    api.advance(7200)
    assert api.instance(instance["id"])["actual_status"] == "running"
