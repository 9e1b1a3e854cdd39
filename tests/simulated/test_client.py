"""What the client makes of the API's answers."""

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from rented import Cloud, request

from components.errors import ApiError, FraguaError, OfferGone, RateLimited, ReplyLost, Unauthorized
from components.vast import client
from components.vast.client import Api
from components.vast.release import release


def order(cloud: Cloud, **fault: Any) -> None:
    cloud.ask("DELETE", "fault")
    cloud.ask("DELETE", "calls")
    cloud.ask("POST", "fault", **fault)


@pytest.fixture(autouse=True)
def _no_faults(cloud: Cloud) -> Any:
    yield
    cloud.ask("DELETE", "fault")


@pytest.mark.parametrize(
    "fault",
    [
        {"effect": "respond", "status": 429, "body": "API requests too frequent"},
        {
            "effect": "respond",
            "status": 429,
            "body": {"detail": "API requests too frequent endpoint threshold=1"},
        },
        {"effect": "respond", "status": 502, "body": "<html>"},
        {"effect": "respond", "status": 503, "body": ""},
        {"effect": "drop_before"},
        {"effect": "drop_after"},
    ],
)
def test_a_reading_is_repeated_until_it_works(fault: dict[str, Any], cloud: Cloud) -> None:
    order(cloud, path="users", count=3, **fault)

    assert cloud.api().user().credit > 0
    assert cloud.ask("GET", "calls")["total"] == 4


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"effect": "delay", "seconds": 0.5}, r"yet: waiting for \d+ s more at most"),
        ({"effect": "respond", "status": 503, "body": ""}, r"yet \(503\): waiting for \d s more at most"),
        ({"effect": "drop_before"}, r"yet \(ConnectionError\): waiting for \d s more at most"),
    ],
)
def test_what_is_waited_for_is_said_once_and_beside_the_output(
    fault: dict[str, Any],
    says: str,
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(client, "_SILENT", 0.1)
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.05)
    order(cloud, path="users", count=4, **fault)
    cloud.api().user()
    said = capsys.readouterr()

    assert re.fullmatch(rf"no answer from {cloud.url} to GET /api/v0/users/current/ {says}\n", said.err)
    assert said.out == ""


def test_an_answer_that_comes_soon_is_not_waited_for(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    order(cloud, path="users", count=2, effect="drop_before")
    cloud.api().user()

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "fault",
    [
        {"effect": "respond", "status": 502, "body": "x"},
        {"effect": "drop_before"},
        {"effect": "drop_after"},
        {"effect": "malformed"},
    ],
)
def test_a_create_is_never_repeated_blindly(fault: dict[str, Any], cloud: Cloud) -> None:
    order(cloud, path="asks", method="PUT", count=None, **fault)
    with pytest.raises(ReplyLost):
        cloud.api().create(1, request().body())

    assert cloud.ask("GET", "calls")["total"] == 1


def test_a_create_that_came_too_fast_is_sent_again_since_nothing_was_made(cloud: Cloud) -> None:
    order(
        cloud,
        path="asks",
        method="PUT",
        count=1,
        effect="respond",
        status=429,
        body="API requests too frequent",
    )
    with pytest.raises(OfferGone):
        cloud.api().create(1, request().body())

    assert cloud.ask("GET", "calls")["total"] == 2


def test_too_many_requests_for_ever_ends_in_an_error(cloud: Cloud) -> None:
    order(cloud, path="users", count=None, effect="respond", status=429, body="API requests too frequent")
    with pytest.raises(RateLimited, match="GET /api/v0/users/current/: 429"):
        cloud.api().user()


def test_success_false_is_an_error_whatever_the_status(cloud: Cloud) -> None:
    body = {"success": False, "error": "bad", "msg": "Invalid date range"}
    order(cloud, path="users", effect="respond", status=200, body=body)
    with pytest.raises(ApiError, match="Invalid date range"):
        cloud.api().user()


def test_an_unknown_key_is_not_taken_for_a_missing_instance(cloud: Cloud) -> None:
    with pytest.raises(Unauthorized, match="unknown, revoked or lacks a permission"):
        Api(cloud.url, "canary-wrong-key").instance(1)


@pytest.mark.parametrize("body", [{}, {"instances": None}, {"instances": {}}, [], "null", 7])
def test_a_list_that_is_none_does_not_prove_that_nothing_bills(body: Any, cloud: Cloud) -> None:
    order(cloud, path="v1/instances", count=None, effect="respond", status=200, body=body)
    with pytest.raises(ReplyLost):
        cloud.api().instances()
    with pytest.raises(ReplyLost):
        release(cloud.api(), [1], "fragua:")


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("bundles", lambda api: api.search({})),
        ("charges", lambda api: api.charges(0, 1)),
        ("ssh", lambda api: api.ssh_keys()),
        ("asks/1$", lambda api: api.create(1, request().body())),
        ("instances/1$", lambda api: api.instance(1)),
        ("users", lambda api: api.user()),
    ],
)
def test_an_answer_without_what_was_asked_for_is_none(
    path: str, ask: Callable[[Api], object], cloud: Cloud
) -> None:
    for body in ({}, {"success": True}, []):
        order(cloud, path=path, effect="respond", status=200, body=body)
        if body == [] and path == "ssh":
            assert ask(cloud.api()) == []
            continue
        with pytest.raises(ReplyLost):
            ask(cloud.api())


def test_an_instance_that_is_not_there_is_said_so_by_a_null(cloud: Cloud) -> None:
    order(cloud, path="instances/1$", effect="respond", status=200, body={"instances": None})

    assert cloud.api().instance(1) is None


def test_an_unknown_instance_is_none(cloud: Cloud) -> None:
    assert cloud.api().instance(1) is None


def test_destroying_what_is_gone_is_success(cloud: Cloud) -> None:
    cloud.api().destroy([1])


def test_the_key_is_in_no_error(cloud: Cloud) -> None:
    secret = "canary-api-key"
    for fault in ({"effect": "drop_before"}, {"effect": "respond", "status": 500, "body": "x"}):
        order(cloud, path="users", count=None, **fault)
        with pytest.raises(FraguaError) as caught:
            Api(cloud.url, secret).user()
        assert secret not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


def test_calls_keep_their_distance_across_threads(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(client.SPACING, "user", 0.05)
    api, start = cloud.api(), time.monotonic()
    threads = [threading.Thread(target=api.user) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert time.monotonic() - start >= 5 * 0.05
