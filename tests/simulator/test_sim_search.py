"""The search: defaults, virtual columns, controls, and the arithmetic of an offer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from rest_client import Client

FIELDS = json.loads((Path(__file__).parent / "fields.json").read_text())
ALL = {"verified": {}, "rented": {}, "rentable": {}, "limit": 1000}


def test_an_offer_has_every_documented_field(api: Client):
    offer = api.offer()
    assert set(FIELDS["offer"]) <= set(offer)


def test_the_ratios_of_an_offer_hold(api: Client):
    for offer in api.search(allocated_storage=50, **ALL):
        disk = offer["storage_cost"] * 50 / 720
        assert offer["dph_total"] == pytest.approx(offer["dph_base"] + disk, abs=2e-6)
        assert offer["storage_total_cost"] == pytest.approx(disk, abs=1e-6)
        assert offer["dlperf_per_dphtotal"] == pytest.approx(offer["dlperf"] / offer["dph_total"], rel=1e-4)
        assert offer["flops_per_dphtotal"] == pytest.approx(
            offer["total_flops"] / offer["dph_total"], rel=1e-4
        )
        assert offer["vram_costperhour"] == pytest.approx(
            offer["dph_total"] / offer["gpu_total_ram"], rel=1e-4
        )
        assert offer["gpu_total_ram"] == offer["gpu_ram"] * offer["num_gpus"]
        assert offer["internet_up_cost_per_tb"] == pytest.approx(offer["inet_up_cost"] * 1000)
        assert offer["search"]["totalHour"] == pytest.approx(offer["dph_total"], abs=2e-6)
        assert offer["min_bid"] < offer["dph_base"]
        assert offer["disk_space"] >= 50


def test_the_market_has_the_gpus_of_the_guide_at_believable_prices(api: Client):
    per_gpu: dict[tuple[str, int], list[float]] = {}
    for offer in api.search(**ALL):
        kind = offer["gpu_name"], offer["gpu_ram"]
        per_gpu.setdefault(kind, []).append(offer["dph_base"] / offer["num_gpus"])
    assert sum(map(len, per_gpu.values())) >= 200
    for kind, low, high in [
        (("A100 PCIE", 40960), 0.9, 2.5),
        (("A100 SXM4", 81920), 1.4, 3.0),
        (("RTX 4090", 24564), 0.4, 0.8),
        (("RTX 4060", 8188), 0.15, 0.4),
        (("RTX 4060 Ti", 16380), 0.15, 0.4),
    ]:
        assert low <= min(per_gpu[kind]) <= max(per_gpu[kind]) <= high


def test_by_default_offers_are_verified_rentable_and_not_on_a_machine_already_rented(api: Client):
    offers = api.search(limit=1000)
    assert {offer["verification"] for offer in offers} == {"verified"}
    machine = next(offer for offer in offers if offer["num_gpus"] == 1)["machine_id"]
    on_it = {"machine_id": {"eq": machine}, "limit": 1000}
    api.rent(api.search(num_gpus={"eq": 1}, **on_it)[0]["id"])
    assert api.search(**on_it) == []
    shown = api.search(rented={"eq": True}, rentable={}, **on_it)
    assert shown
    assert all(offer["rented"] for offer in shown)


@pytest.mark.parametrize(
    ("filters", "holds"),
    [
        ({"geolocation": {"eq": "DE"}}, lambda o: o["geolocation"].endswith("DE")),
        ({"geolocation": {"in": ["SE", "NO"]}}, lambda o: o["geolocation"][-2:] in ("SE", "NO")),
        ({"datacenter": {"eq": True}}, lambda o: o["hosting_type"] >= 1),
        ({"verified": {"eq": False}}, lambda o: o["verification"] != "verified"),
        ({"duration": {"gte": 30 * 86400}}, lambda o: o["duration"] >= 30 * 86400),
        ({"reliability2": {"gte": "0.99"}}, lambda o: o["reliability"] >= 0.99),
        ({"gpu_ram": {"gte": 40000}}, lambda o: o["gpu_ram"] >= 40000),
        ({"gpu_ram_GB": {"gte": 80}}, lambda o: o["gpu_ram"] >= 80000),
        ({"driver_version": {"gte": 570000000}}, lambda o: o["driver_vers"] >= 570000000),
        ({"driver_version": {"lt": "570.124.04"}}, lambda o: o["driver_vers"] < 570124004),
        (
            {"dph_total": {"lte": 0.5}, "num_gpus": {"eq": "1"}},
            lambda o: o["dph_total"] <= 0.5 and o["num_gpus"] == 1,
        ),
        ({"external": {"eq": False}}, lambda o: not o["external"]),
        ({"allocated_storage": {"gte": 700}}, lambda o: o["disk_space"] >= 700),
    ],
)
def test_a_filter_keeps_what_it_says(api: Client, filters: Any, holds: Any):
    everything = api.search(**ALL)
    found = api.search(**(ALL | filters))
    assert found
    assert {offer["id"] for offer in found} == {offer["id"] for offer in everything if holds(offer)}


def test_a_gpu_name_has_spaces_on_the_wire(api: Client):
    assert api.search(gpu_name={"eq": "RTX 4090"})
    assert api.search(gpu_name={"eq": "RTX_4090"}) == []


def test_24_gb_cards_report_less_than_24000_or_more_but_never_exactly(api: Client):
    assert api.search(**(ALL | {"gpu_ram": {"eq": 24000}})) == []
    assert {o["gpu_name"] for o in api.search(**(ALL | {"gpu_ram": {"gte": 22500, "lt": 24000}}))} == {
        "A10",
        "L4",
    }


def test_order_and_limit(api: Client):
    offers = api.search(order=[["gpu_name", "asc"], ["dph_total", "desc"]], limit=20)
    assert len(offers) == 20
    assert offers == sorted(offers, key=lambda o: (o["gpu_name"], -o["dph_total"], o["id"]))
    by_score = [offer["score"] for offer in api.search()]
    assert len(by_score) == 64
    assert by_score == sorted(by_score, reverse=True)


def test_a_bid_search_shows_the_price_of_the_lowest_winning_bid(api: Client):
    for offer in api.search(type="bid"):
        assert offer["is_bid"]
        assert offer["dph_base"] == offer["min_bid"]


def test_the_newer_search_answers_the_same_offers(api: Client):
    query = {"gpu_name": {"eq": "RTX 3090"}, "type": "on-demand"}
    answer = api.ok("PUT", "/api/v0/search/asks/", {"select_cols": ["*"], "q": query})
    assert [offer["id"] for offer in answer["offers"]] == [offer["id"] for offer in api.search(**query)]
    few = api.ok("PUT", "/api/v0/search/asks/", {"select_cols": ["id", "none"], "q": query})
    assert set(few["offers"][0]) == {"id", "none"}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"gpu": {"eq": "x"}}, "gpu is not a valid"),
        ({"type": "spot"}, "type"),
        ({"order": "dph"}, "order"),
        ({"order": [["colour", "asc"]]}, "colour"),
        ({"limit": 0}, "limit"),
        ([], "json"),
    ],
)
def test_a_search_that_cannot_be_read_is_refused_by_name(api: Client, body: Any, named: str):
    status, answer = api.call("POST", "/api/v0/bundles/", body)
    assert (status, answer["error"]) == (400, "invalid_request")
    assert named in answer["msg"]


def test_a_body_that_is_no_json_is_refused(api: Client):
    answer = requests.post(f"{api.url}/api/v0/bundles/", data="{", headers=api.headers, timeout=10)
    assert (answer.status_code, answer.json()["msg"]) == (400, "Invalid json body")
