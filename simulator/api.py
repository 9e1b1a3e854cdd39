"""The API's table of calls: method and path, who may call, how often, and what handles it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.handlers import account, instances, listing, offers, ssh_keys
from simulator.ratelimit import Limit

if TYPE_CHECKING:
    from simulator.handlers.call import Handler

CREATE = Limit(4.5, penalty=12, bucket="create")
DESTROY = Limit(3.0, bucket="destroy")


@dataclass(frozen=True)
class Endpoint:
    """One call of the API.

    Attributes:
        path: with `{name}` for numbers, without a trailing slash.
        scope: the permission that a restricted key needs.
        limit: how often it may be called; None where Vast documents nothing.
        own: a container's key may make this call on its own instance.
    """

    method: str
    path: str
    handler: Handler
    scope: str
    limit: Limit | None = None
    own: bool = False


ENDPOINTS = (
    Endpoint("POST", "/api/v0/bundles", offers.bundles, "misc", Limit(60.0, calls=10)),
    Endpoint("PUT", "/api/v0/search/asks", offers.asks, "misc"),
    Endpoint("PUT", "/api/v0/asks/{id}", offers.create, "instance_write", CREATE),
    Endpoint("POST", "/api/v0/asks/bulk", offers.create_bulk, "instance_write", CREATE),
    Endpoint("PUT", "/api/v0/launch_instance", offers.launch, "misc", Limit(5.0)),
    Endpoint("GET", "/api/v0/instances", instances.list_v0, "instance_read", Limit(2.0)),
    Endpoint("GET", "/api/v1/instances", listing.list_v1, "instance_read", Limit(1.0)),
    Endpoint("GET", "/api/v0/instances/filters", listing.filters, "instance_read"),
    Endpoint("GET", "/api/v0/instances/{id}", instances.show, "instance_read", Limit(2.0)),
    Endpoint("PUT", "/api/v0/instances", instances.manage_bulk, "instance_write", Limit(1.0)),
    Endpoint(
        "PUT", "/api/v0/instances/{id}", instances.manage, "instance_write", Limit(1.0), own=True
    ),
    Endpoint("DELETE", "/api/v0/instances", instances.destroy_bulk, "instance_write", DESTROY),
    Endpoint(
        "DELETE", "/api/v0/instances/{id}", instances.destroy, "instance_write", DESTROY, own=True
    ),
    Endpoint(
        "PUT", "/api/v0/instances/bid_price/{id}", instances.change_bid, "instance_write",
        Limit(5.5),
    ),
    Endpoint(
        "PUT", "/api/v0/instances/reboot/{id}", instances.reboot, "instance_write", Limit(1.0)
    ),
    Endpoint(
        "PUT", "/api/v0/instances/recycle/{id}", instances.recycle, "instance_write", Limit(1.0)
    ),
    Endpoint("POST", "/api/v0/ssh", ssh_keys.create, "user_write", Limit(1.0)),
    Endpoint("GET", "/api/v0/ssh", ssh_keys.show, "user_read"),
    Endpoint("PUT", "/api/v0/ssh/{id}", ssh_keys.update, "user_write", Limit(1.0)),
    Endpoint("DELETE", "/api/v0/ssh/{id}", ssh_keys.delete, "user_write"),
    Endpoint(
        "POST", "/api/v0/instances/{id}/ssh", ssh_keys.attach, "instance_write", Limit(1.0)
    ),
    Endpoint("GET", "/api/v0/instances/{id}/ssh", ssh_keys.attached, "instance_read"),
    Endpoint(
        "DELETE", "/api/v0/instances/{id}/ssh/{key_id}", ssh_keys.detach, "instance_write",
        Limit(2.0),
    ),
    Endpoint("GET", "/api/v0/users/current", account.show_user, "user_read"),
)  # fmt: skip
