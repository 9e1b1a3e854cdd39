"""The API's table of calls: method and path, who may call, how often, and what handles it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.handlers import (
    account,
    billing,
    instances,
    keys,
    listing,
    offers,
    results,
    ssh_keys,
    templates,
    volumes,
)
from simulator.ratelimit import Limit

if TYPE_CHECKING:
    from simulator.handlers.call import Handler

V0 = "/api/v0"
V0_INSTANCES = f"{V0}/instances"
READ, WRITE = "instance_read", "instance_write"
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
    Endpoint("POST", f"{V0}/bundles", offers.bundles, "misc", Limit(60.0, calls=10)),
    Endpoint("PUT", f"{V0}/search/asks", offers.asks, "misc"),
    Endpoint("PUT", f"{V0}/asks/{{id}}", offers.create, WRITE, CREATE),
    Endpoint("POST", f"{V0}/asks/bulk", offers.create_bulk, WRITE, CREATE),
    Endpoint("PUT", f"{V0}/launch_instance", offers.launch, "misc", Limit(5.0)),
    Endpoint("GET", V0_INSTANCES, instances.list_v0, READ, Limit(2.0)),
    Endpoint("GET", "/api/v1/instances", listing.list_v1, READ, Limit(1.0)),
    Endpoint("GET", f"{V0_INSTANCES}/filters", listing.filters, READ),
    Endpoint("GET", f"{V0_INSTANCES}/{{id}}", instances.show, READ, Limit(2.0)),
    Endpoint("PUT", V0_INSTANCES, instances.manage_bulk, WRITE, Limit(1.0)),
    Endpoint("PUT", f"{V0_INSTANCES}/{{id}}", instances.manage, WRITE, Limit(1.0), own=True),
    Endpoint("DELETE", V0_INSTANCES, instances.destroy_bulk, WRITE, DESTROY),
    Endpoint("DELETE", f"{V0_INSTANCES}/{{id}}", instances.destroy, WRITE, DESTROY, own=True),
    Endpoint("PUT", f"{V0_INSTANCES}/bid_price/{{id}}", instances.change_bid, WRITE, Limit(5.5)),
    Endpoint("PUT", f"{V0_INSTANCES}/reboot/{{id}}", instances.reboot, WRITE, Limit(1.0)),
    Endpoint("PUT", f"{V0_INSTANCES}/recycle/{{id}}", instances.recycle, WRITE, Limit(1.0)),
    Endpoint("PUT", f"{V0_INSTANCES}/update_template/{{id}}", templates.update_instance, WRITE),
    Endpoint("PUT", f"{V0_INSTANCES}/request_logs/{{id}}", results.request_logs, READ),
    Endpoint("PUT", f"{V0_INSTANCES}/command/{{id}}", results.execute, WRITE, Limit(1.5)),
    Endpoint("POST", f"{V0_INSTANCES}/{{id}}/ssh", ssh_keys.attach, WRITE, Limit(1.0)),
    Endpoint("GET", f"{V0_INSTANCES}/{{id}}/ssh", ssh_keys.attached, READ),
    Endpoint("DELETE", f"{V0_INSTANCES}/{{id}}/ssh/{{key_id}}", ssh_keys.detach, WRITE, Limit(2.0)),
    Endpoint("POST", f"{V0}/ssh", ssh_keys.create, "user_write", Limit(1.0)),
    Endpoint("GET", f"{V0}/ssh", ssh_keys.show, "user_read"),
    Endpoint("PUT", f"{V0}/ssh/{{id}}", ssh_keys.update, "user_write", Limit(1.0)),
    Endpoint("DELETE", f"{V0}/ssh/{{id}}", ssh_keys.delete, "user_write"),
    *(
        Endpoint(method, f"/api/{version}/template", handler, scope, limit)
        for version in ("v0", "v1")
        for method, handler, scope, limit in (
            ("GET", templates.search, "user_read", Limit(3.0)),
            ("POST", templates.create, "user_write", None),
            ("PUT", templates.edit, "user_write", None),
            ("DELETE", templates.delete, "user_write", None),
        )
    ),
    Endpoint("GET", f"{V0}/users/current", account.show_user, "user_read"),
    Endpoint("GET", f"{V0}/charges", billing.charges, "billing_read", Limit(1.0)),
    Endpoint("GET", "/api/v1/invoices", billing.invoices, "billing_read", Limit(3.0)),
    Endpoint("GET", f"{V0}/auth/apikeys", keys.show, "user_read", Limit(1.0)),
    Endpoint("POST", f"{V0}/auth/apikeys", keys.create, "user_write", Limit(2.0)),
    Endpoint("DELETE", f"{V0}/auth/apikeys/{{id}}", keys.delete, "user_write", Limit(2.0)),
    Endpoint("GET", f"{V0}/secrets", keys.secrets, "user_read", Limit(5.0)),
    Endpoint("POST", f"{V0}/secrets", keys.add_secret, "user_write", Limit(3.0)),
    Endpoint("PUT", f"{V0}/secrets", keys.change_secret, "user_write", Limit(3.0)),
    Endpoint("DELETE", f"{V0}/secrets", keys.delete_secret, "user_write", Limit(3.0)),
    Endpoint("POST", f"{V0}/volumes/search", volumes.search, "misc", Limit(5.5)),
    Endpoint("PUT", f"{V0}/volumes", volumes.create, WRITE, Limit(5.5)),
    Endpoint("GET", f"{V0}/volumes", volumes.show, READ, Limit(5.5)),
    Endpoint("DELETE", f"{V0}/volumes", volumes.delete, WRITE, Limit(5.5)),
)
