"""A simulator's control plane, and requests for machines on it."""

from dataclasses import dataclass, field
from typing import Any

import requests

from components.cost.purchase import Purchase
from components.spec.node import Gpu, Node
from components.vast import keys
from components.vast.client import Api
from components.vast.lifecycle import Acquisition, Machine
from components.vast.machines import BadMachines
from components.vast.request import RentRequest

NODE: dict[str, Any] = {
    "gpu": Gpu(models=("RTX 4090", "RTX 3090", "RTX A6000"), cuda=11),
    "image": "vastai/pytorch:2.7.1-cu128-py311",
    "disk": 20,
    "max_price": 3,
    "reliability": 0.5,
}


@dataclass
class Cloud:
    """A simulator, and an account on it."""

    url: str
    api_key: str

    def ask(self, verb: str, order: str, /, **body: Any) -> Any:
        reply = requests.request(verb, f"{self.url}/_sim/{order}", json=body or None, timeout=60)
        reply.raise_for_status()
        return reply.json()

    def api(self) -> Api:
        return Api(self.url, self.api_key)

    def billing(self, owner: str) -> list[int]:
        contracts = self.ask("GET", "ledger")["contracts"]
        return [
            found["id"] for found in contracts if found["billing_now"] and owner in (found["label"] or "")
        ]

    def made(self, owner: str) -> list[dict[str, Any]]:
        contracts = self.ask("GET", "ledger")["contracts"]
        return [found for found in contracts if owner in (found["label"] or "")]


@dataclass
class Run:
    """One acquisition, and what it said."""

    cloud: Cloud
    request: RentRequest
    said: list[str] = field(default_factory=list)

    def acquire(self, pinned: dict[int, str] | None = None) -> list[Machine]:
        api = self.cloud.api()
        return Acquisition(api, self.request, BadMachines(api.url), self.said.append, pinned).run()

    @property
    def talk(self) -> str:
        return "\n".join(self.said)

    @property
    def billing(self) -> list[int]:
        return self.cloud.billing(self.request.owner)


def request(count: int = 1, purchase: Purchase | None = None, **node: Any) -> RentRequest:
    """A request of a stack of its own: nobody else has its key."""
    private, public = keys.generate("fragua test")
    return RentRequest(
        stack="test",
        name="node",
        node=Node(**{**NODE, **node}),
        count=count,
        public_key=public,
        private_key=private,
        purchase=purchase,
    )
