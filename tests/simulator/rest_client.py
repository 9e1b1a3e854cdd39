"""The plainest client of the API, for tests of the simulator."""

from __future__ import annotations

import json
from typing import Any

import requests


class Client:
    """One method per thing a test does often; answers as they come."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def raw(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        query = {k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()}
        return requests.request(
            method, self.url + path, json=body, params=query, headers=self.headers, timeout=30
        )

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        answer = self.raw(method, path, body, **query)
        is_json = answer.headers["content-type"] == "application/json"
        return answer.status_code, answer.json() if is_json else answer.text

    def ok(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        status, answer = self.call(method, path, body, **query)
        assert status == 200, answer
        return answer

    def search(self, **filters: Any) -> list[dict[str, Any]]:
        return self.ok("POST", "/api/v0/bundles/", filters)["offers"]

    def offer(self, **filters: Any) -> dict[str, Any]:
        quiet = {"direct_port_count": {"gte": 1}, "order": [["dph_total", "asc"]], "limit": 1}
        return self.search(**(quiet | filters))[0]

    def rent(self, offer_id: int, **fields: Any) -> int:
        body = {"image": "vastai/pytorch:2.7.1", "disk": 20, "runtype": "ssh_direct", **fields}
        return self.ok("PUT", f"/api/v0/asks/{offer_id}/", body)["new_contract"]

    def instance(self, number: int) -> dict[str, Any]:
        rows = self.ok("GET", "/api/v1/instances/", select_filters={"id": {"eq": number}})["instances"]
        return rows[0]

    def running(self, **filters: Any) -> dict[str, Any]:
        number = self.rent(self.offer(**filters)["id"])
        self.advance(900)
        instance = self.instance(number)
        assert instance["actual_status"] == "running", instance["status_msg"]
        return instance

    def advance(self, seconds: float) -> None:
        self.ok("POST", "/_sim/clock", {"advance": seconds})

    def bill(self) -> dict[str, Any]:
        return self.ok("GET", "/_sim/ledger")
