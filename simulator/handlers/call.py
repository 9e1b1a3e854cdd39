"""One API call, freed from HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.errors import APIError, no_such_instance
from simulator.world import World

if TYPE_CHECKING:
    from simulator.auth import Key
    from simulator.contracts import Contract


@dataclass(frozen=True)
class Call:
    """Who asks for what.

    Attributes:
        path: the numbers in the path, e.g. `{"id": 27100301}`.
        query: the query string, values as they were sent.
        body: the JSON body; an empty object without one.
        base_url: the server as the client sees it, for links in answers.
        now: the virtual time of the call.
    """

    key: Key
    path: dict[str, int]
    query: dict[str, str]
    body: Any
    base_url: str
    now: float

    def fields(self) -> dict[str, Any]:
        """Return the body as an object.

        Raises:
            APIError: 400 when it is something else.
        """
        if not isinstance(self.body, dict):
            raise APIError(400, "invalid_request", "Invalid json body")
        return self.body


Handler = Callable[[World, Call], Any]


def own_contract(world: World, call: Call) -> Contract:
    """Return the contract that the path names.

    Raises:
        APIError: 404 `no_such_instance`.
    """
    contract = world.contracts.get(call.path["id"])
    if contract is None:
        raise no_such_instance(call.path["id"])
    return contract
