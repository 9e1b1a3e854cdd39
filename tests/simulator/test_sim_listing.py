"""The paged list (v1) and the whole list (v0)."""

from __future__ import annotations

from typing import Any

import pytest
from rest_client import Client

V1 = "/api/v1/instances/"


@pytest.fixture
def fleet(api: Client) -> list[int]:
    """Thirty instances, every third labelled `a`, the rest `b` or nothing."""
    offers = api.search(num_gpus={"eq": 1}, limit=30)
    return [api.rent(offer["id"], label=("a", "b", None)[n % 3]) for n, offer in enumerate(offers)]


def pages(api: Client, **query: Any) -> list[list[Any]]:
    result, token = [], None
    while True:
        page = api.ok("GET", V1, **query, **({"after_token": token} if token else {}))
        assert page["instances_found"] == len(page["instances"])
        result.append(page["instances"])
        token = page["next_token"]
        if token is None:
            return result


def test_pages_hold_25_at_most_and_together_everything_once(api: Client, fleet: list[int]):
    for limit, sizes in [(100, [25, 5]), (25, [25, 5]), (12, [12, 12, 6]), (0, [5] * 6), (-1, [5] * 6)]:
        got = pages(api, limit=limit)
        assert [len(page) for page in got] == sizes
        assert [row["id"] for page in got for row in page] == fleet


def test_filters_and_label_counts(api: Client, fleet: list[int]):
    everything = api.ok("GET", V1)
    assert everything["total_instances"] == 30
    assert everything["label_counts"] == {"a": 10, "b": 10, "": 10}
    found = api.ok("GET", V1, select_filters={"label": {"eq": "a"}})
    assert [row["id"] for row in found["instances"]] == fleet[::3]
    assert found["label_counts"] == {"a": 10}
    unlabelled = api.ok("GET", V1, select_filters={"label": {"in": [None]}})
    assert [row["id"] for row in unlabelled["instances"]] == fleet[2::3]


def test_order_over_pages_and_a_row_that_goes_in_between(api: Client, fleet: list[int]):
    order = [{"col": "label", "dir": "desc"}, {"col": "id", "dir": "desc"}]
    wanted = fleet[1::3][::-1] + fleet[::3][::-1] + fleet[2::3][::-1]
    assert [row["id"] for page in pages(api, limit=7, order_by=order) for row in page] == wanted
    first = api.ok("GET", V1, limit=7, order_by=order)
    api.ok("DELETE", f"/api/v0/instances/{first['instances'][-1]['id']}/", {})
    second = api.ok("GET", V1, limit=7, order_by=order, after_token=first["next_token"])
    assert [row["id"] for row in second["instances"]] == wanted[7:14]


def test_selected_columns_unknown_ones_as_null(api: Client, fleet: list[int]):
    row = api.ok("GET", V1, select_cols=["id", "colour"], limit=1)["instances"][0]
    assert row == {"id": fleet[0], "colour": None}


@pytest.mark.parametrize("column", ["dph_total", "num_gpus", "ports", "nope"])
def test_computed_columns_cannot_be_filtered_or_sorted(api: Client, column: str):
    for query in ({"select_filters": {column: {"gt": 0}}}, {"order_by": [{"col": column, "dir": "asc"}]}):
        status, answer = api.call("GET", V1, **query)
        assert (status, answer["error"]) == (400, "invalid_request")
        assert f"{column} is not a valid search key" in answer["msg"]


@pytest.mark.parametrize("token", ["x", "eyJ2YWx1ZXMiOiAxfQ==", "eyJ2YWx1ZXMiOiB7fX0=", "e30="])
def test_a_cursor_that_is_none_is_refused(api: Client, token: str):
    api.rent(api.offer()["id"])
    status, answer = api.call("GET", V1, after_token=token)
    assert (status, answer["error"]) == (400, "invalid_token")


@pytest.mark.parametrize("query", [{"select_filters": "{"}, {"order_by": "id"}, {"limit": "many"}])
def test_a_query_that_cannot_be_read_is_refused(api: Client, query: Any):
    status, answer = api.call("GET", V1, **query)
    assert (status, answer["error"]) == (400, "invalid_request")


def test_v0_lists_everything_with_ports(api: Client, fleet: list[int]):
    rows = api.ok("GET", "/api/v0/instances/", owner="me")["instances"]
    assert [row["id"] for row in rows] == fleet
    assert all("ports" in row for row in rows)


def test_the_filterable_values(api: Client):
    instance = api.running()
    row = {name: instance[name] for name in ("actual_status", "gpu_name", "verification")}
    assert api.ok("GET", "/api/v0/instances/filters/")["filters"] == [row]
