"""Rate limits, keys and permissions."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from paper_machine import PaperMachine
from rest_client import Client

from simulator.ratelimit import Limit, RateLimited, RateLimiter
from simulator.server import Simulator

NO_LOGIN = (403, {"success": False, "error": "auth_error", "msg": "This action requires login."})
BAD_KEY = (404, {"success": False, "error": "auth_error", "msg": "Invalid user key"})


def test_calls_are_spaced_by_the_interval_and_a_penalty_outlasts_it(monkeypatch: Any):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limiter, limit = RateLimiter(), Limit(4.5, penalty=12)

    def accepted(at: float, who: str = "me") -> bool:
        now[0] = at
        try:
            limiter.check("create", who, limit)
        except RateLimited:
            return False
        return True

    assert accepted(100.0)
    assert accepted(104.5)
    assert accepted(104.6, "somebody else")
    assert not accepted(108.9), "too early"
    assert not accepted(109.1), "the interval is over, the penalty is not"
    assert not accepted(120.8), "refusals during the penalty do not prolong it"
    assert accepted(121.0)


def test_ten_a_minute_is_a_window(monkeypatch: Any):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limiter, limit = RateLimiter(), Limit(60.0, calls=10)
    for second in range(10):
        now[0] = float(second)
        limiter.check("search", "me", limit)
    with pytest.raises(RateLimited):
        limiter.check("search", "me", limit)
    now[0] = 60.0
    limiter.check("search", "me", limit)
    with pytest.raises(RateLimited):
        limiter.check("search", "me", limit)


def test_a_refusal_is_429_in_either_shape_without_retry_after():
    with Simulator(calm=True, make_host=PaperMachine) as sim:
        api = Client(sim.url, sim.api_key)
        answers = [api.raw("GET", "/api/v1/instances/") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 429, 429]
        assert all("retry-after" not in answer.headers for answer in answers)
        assert answers[1].headers["content-type"].startswith("text/plain")
        assert answers[1].text == "API requests too frequent: endpoint threshold=1"
        assert answers[2].json() == {"detail": "API requests too frequent endpoint threshold=1"}
        assert api.call("GET", "/api/v0/users/current/")[0] == 200, "other calls are not affected"
        offer = api.offer()
        assert api.call("PUT", f"/api/v0/asks/{offer['id']}/", {"image": "ubuntu"})[0] == 200
        bulk = api.call("POST", "/api/v0/asks/bulk/", {"image": "ubuntu", "ids": [1]})
        assert bulk[0] == 429, "bulk and single creates share their spacing"


def test_a_scaled_limit_lets_calls_through_sooner():
    with Simulator(calm=True, make_host=PaperMachine, rate_limits=0.01) as sim:
        api = Client(sim.url, sim.api_key)
        api.ok("GET", "/api/v1/instances/")
        time.sleep(0.011)
        api.ok("GET", "/api/v1/instances/")


def test_no_key_is_403_and_an_unknown_key_404(sim: Simulator):
    assert Client(sim.url, None).call("GET", "/api/v0/instances/1/") == NO_LOGIN
    assert Client(sim.url, "nope").call("GET", "/api/v0/instances/1/") == BAD_KEY


def test_a_revoked_key_gives_the_404_that_looks_like_gone(api: Client):
    number = api.rent(api.offer()["id"])
    assert api.ok("POST", "/_sim/revoke-key", {})["revoked"] == 1
    assert api.call("GET", f"/api/v0/instances/{number}/") == BAD_KEY


def test_the_key_may_come_in_the_query(sim: Simulator):
    url = f"{sim.url}/api/v0/users/current?api_key={sim.api_key}"
    assert requests.get(url, timeout=10).status_code == 200


def test_trailing_slashes_are_optional(api: Client):
    for path in ("/api/v0/users/current", "/api/v0/users/current/", "/api/v1/instances"):
        assert api.call("GET", path)[0] == 200


def test_what_is_not_simulated_says_so(api: Client):
    status, answer = api.call("POST", "/api/v0/commands/rclone/", {})
    assert (status, answer["error"]) == (404, "not_simulated")
    assert "POST /api/v0/commands/rclone" in answer["msg"]
    assert api.call("PATCH", "/api/v0/users/current/")[1]["error"] == "not_simulated"


def test_a_containers_key_may_start_stop_and_destroy_itself_and_nothing_else(api: Client):
    other = api.rent(api.offer()["id"])
    answer = api.ok("PUT", f"/api/v0/asks/{api.offer()['id']}/", {"image": "ubuntu"})
    inside, own = Client(api.url, answer["instance_api_key"]), answer["new_contract"]
    for method, path, body in [
        ("GET", f"/api/v0/instances/{own}/", None),
        ("GET", "/api/v1/instances/", None),
        ("PUT", f"/api/v0/instances/{other}/", {"state": "stopped"}),
        ("PUT", f"/api/v0/instances/{own}/", {"label": "mine"}),
        ("DELETE", f"/api/v0/instances/{other}/", {}),
        ("GET", "/api/v0/users/current/", None),
        ("POST", "/api/v0/bundles/", {}),
    ]:
        assert inside.call(method, path, body)[0] == 403, path
    inside.ok("PUT", f"/api/v0/instances/{own}/", {"state": "stopped"})
    inside.ok("PUT", f"/api/v0/instances/{own}/", {"state": "running"})
    inside.ok("DELETE", f"/api/v0/instances/{own}/", {})
    assert inside.call("DELETE", f"/api/v0/instances/{own}/", {}) == BAD_KEY
    assert api.instance(other)["id"] == other


def test_a_restricted_key_may_do_what_its_permissions_say(api: Client):
    permissions = {"api": {"misc": {}, "instance_read": {}}}
    made = api.ok("POST", "/api/v0/auth/apikeys/", {"name": "reader", "permissions": permissions})
    reader = Client(api.url, made["key"])
    assert reader.call("GET", "/api/v1/instances/")[0] == 200
    assert reader.call("POST", "/api/v0/bundles/", {})[0] == 200
    status, answer = reader.call("PUT", f"/api/v0/asks/{api.offer()['id']}/", {"image": "x"})
    assert (status, answer["error"]) == (403, "auth_error")
    assert "instance_write" in answer["msg"]
    shown = api.ok("GET", "/api/v0/auth/apikeys/")["apikeys"]
    assert all("key" not in key for key in shown)
    api.ok("DELETE", f"/api/v0/auth/apikeys/{made['id']}/")
    assert reader.call("GET", "/api/v1/instances/") == BAD_KEY


@pytest.mark.parametrize("permissions", ["all", {"misc": {}}, []])
def test_permissions_have_a_shape(api: Client, permissions: Any):
    status, answer = api.call("POST", "/api/v0/auth/apikeys/", {"name": "x", "permissions": permissions})
    assert (status, answer["error"]) == (400, "invalid_permissions")
