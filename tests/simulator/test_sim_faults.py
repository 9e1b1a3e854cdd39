"""Faults on order and the rest of the control plane."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from rest_client import Client

USER = "/api/v0/users/current/"


def test_a_fault_strikes_the_nth_matching_call_and_as_many_as_it_says(api: Client):
    order = {"effect": "respond", "method": "GET", "path": "users", "nth": 2, "count": 2, "status": 503}
    api.ok("POST", "/_sim/fault", {**order, "body": {"msg": "later"}})
    assert api.call("PUT", USER, {})[0] == 404, "another method does not count"
    assert api.call("GET", "/api/v0/ssh/")[0] == 200, "nor does another path"
    assert [api.call("GET", USER)[0] for _ in range(5)] == [200, 503, 503, 200, 200]
    assert api.ok("GET", "/_sim/fault")["faults"][0]["struck"] == 2


def test_a_fault_without_count_lasts_until_it_is_cancelled(api: Client):
    api.ok("POST", "/_sim/fault", {"effect": "respond", "count": None, "status": 502, "body": "Bad gateway"})
    assert [api.call("GET", USER) for _ in range(3)] == [(502, "Bad gateway")] * 3
    api.ok("DELETE", "/_sim/fault")
    assert api.call("GET", USER)[0] == 200


def test_a_delay_is_real_time_and_the_call_goes_through(api: Client):
    api.ok("POST", "/_sim/fault", {"effect": "delay", "seconds": 0.3})
    started = time.monotonic()
    assert api.call("GET", USER)[0] == 200
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(("effect", "contracts"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_create_is_told_apart_only_by_looking(api: Client, effect: str, contracts: int):
    offer = api.offer()
    api.ok("POST", "/_sim/fault", {"effect": effect, "method": "PUT", "path": "/asks/"})
    with pytest.raises(requests.ConnectionError):
        api.rent(offer["id"], label="mine")
    found = api.ok("GET", "/api/v1/instances/", select_filters={"label": {"eq": "mine"}})
    assert found["total_instances"] == contracts
    assert api.bill()["billing_now"] == contracts
    statuses = [call["status"] for call in api.ok("GET", "/_sim/calls")["calls"] if call["method"] == "PUT"]
    assert statuses == [0]


def test_a_malformed_body_is_200_and_no_json(api: Client):
    api.ok("POST", "/_sim/fault", {"effect": "malformed"})
    answer = api.raw("GET", USER)
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ({"effect": "explode"}, "effect"),
        ({"effect": "delay", "after": 3}, "after"),
        ({"effect": "delay", "path": "("}, "path"),
    ],
)
def test_an_order_that_cannot_be_read_is_refused_by_name(api: Client, order: Any, named: str):
    status, answer = api.call("POST", "/_sim/fault", order)
    assert status == 400
    assert named in answer["msg"]


def test_calls_are_counted_until_the_count_is_reset(api: Client):
    for number in (1, 2, 3):
        api.call("GET", f"/api/v0/instances/{number}/")
    api.call("GET", USER)
    calls = api.ok("GET", "/_sim/calls")
    assert calls["counts"] == {"GET /api/v0/instances/{id}": 3, "GET /api/v0/users/current": 1}
    assert calls["calls"][0].items() >= {"path": "/api/v0/instances/1", "status": 200}.items()
    api.ok("DELETE", "/_sim/calls")
    assert api.ok("GET", "/_sim/calls")["total"] == 0


def test_the_clock_changes_its_speed_without_a_jump(api: Client):
    before = api.ok("GET", "/_sim/clock")["now"]
    assert api.ok("POST", "/_sim/clock", {"scale": 1000})["now"] == pytest.approx(before, abs=100)
    time.sleep(0.2)
    assert api.ok("GET", "/_sim/clock")["now"] > before + 150
    assert api.call("POST", "/_sim/clock", {"advance": -1})[0] == 400
    assert api.call("POST", "/_sim/clock", {"scale": 0})[0] == 400


def test_prices_are_multiplied(api: Client):
    before = api.offer()
    api.ok("POST", "/_sim/price", {"multiply": 2})
    after = api.offer(id={"eq": before["id"]})
    assert after["dph_base"] == pytest.approx(2 * before["dph_base"], abs=2e-4)
    assert api.call("POST", "/_sim/price", {"multiply": 0})[0] == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("offers/1/take", {}),
        ("machines/1/fault", {"fault": "wrong_gpu"}),
        ("instances/1/offline", {}),
    ],
)
def test_orders_about_what_is_not_there_are_404(api: Client, path: str, body: Any):
    assert api.call("POST", f"/_sim/{path}", body)[0] == 404


def test_an_unknown_machine_fault_is_refused(api: Client):
    machine = api.offer()["machine_id"]
    status, answer = api.call("POST", f"/_sim/machines/{machine}/fault", {"fault": "sad"})
    assert status == 400
    assert "dead_ssh" in answer["msg"]


def test_a_browser_elsewhere_cannot_reach_the_control_plane(api: Client):
    answer = requests.get(f"{api.url}/_sim/ledger", headers={"Host": "evil.example"}, timeout=10)
    assert answer.status_code == 403
