"""Renting: what a create call may ask for, and the contract it makes."""

from __future__ import annotations

import secrets
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulator.contracts import Contract
from simulator.errors import APIError, invalid_args
from simulator.fields import flag, number, text
from simulator.offers import describe

if TYPE_CHECKING:
    from simulator.world import World

MIN_DISK = 8.0
MAX_ENV_VALUE, MAX_ENV_TOTAL = 256, 32768
MAX_SCRIPT = 4096
PRICE_RANGE = (0.001, 128.0)
RUNTYPES = {
    "ssh": "ssh ssh_proxy",
    "ssh_proxy": "ssh ssh_proxy",
    "ssh_direct": "ssh ssh_direc ssh_proxy",
    "ssh_direc ssh_proxy": "ssh ssh_direc ssh_proxy",
    "ssh_proxy ssh_direc": "ssh ssh_direc ssh_proxy",
    "ssh ssh_direc ssh_proxy": "ssh ssh_direc ssh_proxy",
    "ssh ssh_proxy": "ssh ssh_proxy",
    "args": "args",
}
"""What may be sent, and what is read back: never the same text."""


@dataclass(frozen=True)
class Request:
    """A create call that has been understood; money in $/h, storage in GB.

    Attributes:
        price: the bid; None rents on demand.
        cancel_unavail: fail rather than leave a stopped contract.
    """

    image: str
    runtype: str
    env: dict[str, str] = field(default_factory=dict)
    onstart: str | None = None
    args: list[str] = field(default_factory=list)
    label: str | None = None
    template: dict[str, Any] | None = None
    disk: float = MIN_DISK
    price: float | None = None
    cancel_unavail: bool = True
    target_state: str = "running"


def rent(world: World, offer_id: int, request: Request, now: float) -> Contract:
    """Rent an offer.

    Raises:
        APIError: 404 `invalid_args` or 410 `no_such_ask` when it is gone; 400 when the request
            does not fit the offer or there is no credit.
    """
    market = world.market
    offer = market.find(offer_id)
    if offer is None:
        text = f"error 404/3603: no_such_ask Instance type by id {offer_id} is not available."
        raise APIError(404, "invalid_args", text, ask_id=offer_id)
    storage = describe(offer, market.quote(offer, now), now, storage=request.disk, kind="on-demand")
    if request.disk > storage["disk_space"]:
        text = f"disk: {request.disk:g} GB asked, the offer has {storage['disk_space']:g} GB."
        raise invalid_args(text, ask_id=offer_id)
    if world.ledger.credit(now) <= 0:
        text = "Your account lacks credit; see the billing page."
        raise APIError(400, "insufficient_credit", text, ask_id=offer_id)
    number = world.contracts.new_id()
    contract = Contract(
        id=number,
        machine_id=offer.machine.machine_id,
        offer_index=offer.index,
        offer=storage,
        image=request.image,
        runtype=request.runtype,
        env={**world.account.secrets(), **request.env},
        onstart=request.onstart,
        args=request.args,
        label=request.label,
        template=request.template,
        disk=request.disk,
        bid=request.price,
        dph_base=storage["dph_base"] if request.price is None else request.price,
        created_at=now,
        end_date=storage["end_date"],
        container_key="",
        jupyter_token=secrets.token_hex(16),
        intended=request.target_state,
        ssh_keys=world.account.ssh_keys(),
        faults=world.faults_of(offer.machine.machine_id),
    )
    available = market.is_free(offer, now) and not world.admission.obstacle(contract, now)
    if request.cancel_unavail and request.target_state == "running" and not available:
        text = f"error 410/3907: no_such_ask Instance type {offer_id} is no longer available."
        raise APIError(410, "no_such_ask", text, ask_id=offer_id)
    contract.container_key = world.keys.create(f"instance {number}", now, instance=number).key
    market.orders.rentals[offer.index] = market.orders.rentals.get(offer.index, 0) + 1
    world.save_orders()
    world.lifecycle.begin(contract, now)
    return contract


def read_request(body: dict[str, Any], template: dict[str, Any] | None) -> Request:
    """Understand a create body; the template fills in what the body leaves out.

    Raises:
        APIError: 400 `invalid_args` or `invalid_price`, naming the field.
    """
    merged = {**(template or {}), **{name: v for name, v in body.items() if v is not None}}
    for name in ("vm", "volume_info"):
        if merged.get(name):
            raise invalid_args(f"{name}: the simulator does not simulate it.")
    image = text(merged, "image", 1024)
    if not image:
        raise invalid_args("image: required unless template_hash_id names a template.")
    price = number(body, "price")
    if price is not None and not PRICE_RANGE[0] <= price <= PRICE_RANGE[1]:
        raise APIError(400, "invalid_price", f"price: {price:g} is not within {PRICE_RANGE} $/h.")
    disk = number(merged, "disk")
    if disk is not None and disk < MIN_DISK:
        raise invalid_args(f"disk: {disk:g} GB; at least {MIN_DISK:g} are needed.")
    target = merged.get("target_state", "running")
    if target not in ("running", "stopped"):
        raise invalid_args(f"target_state: {target!r} is not running or stopped.")
    args = merged.get("args", [])
    if not isinstance(args, list) or any(not isinstance(item, str) for item in args):
        raise invalid_args("args: expected a list of strings.")
    onstart, args_str = text(merged, "onstart", MAX_SCRIPT), text(merged, "args_str", MAX_SCRIPT)
    size = len(onstart or "") + len(args_str or "") + sum(map(len, args))
    if size > MAX_SCRIPT:
        raise invalid_args(f"onstart and args: {size} characters; at most {MAX_SCRIPT} together.")
    return Request(
        image=image,
        runtype=_runtype(merged.get("runtype"), has_args=bool(args or args_str)),
        env={**(template or {}).get("env", {}), **_env(body.get("env"))},
        onstart=onstart,
        args=args or shlex.split(args_str or ""),
        label=text(body, "label", 256),
        template=(template or {}).get("template"),
        disk=MIN_DISK if disk is None else disk,
        price=price,
        cancel_unavail=flag(body, "cancel_unavail", price is None and target == "running"),
        target_state=target,
    )


def read_update(body: dict[str, Any], template: dict[str, Any] | None) -> dict[str, Any]:
    """Understand an update body: what it changes of a contract, by attribute.

    Raises:
        APIError: 400 `invalid_args`, naming the field.
    """
    changes: dict[str, Any] = {}
    merged = {**(template or {}), **{name: v for name, v in body.items() if v is not None}}
    for name, limit in (("image", 1024), ("onstart", MAX_SCRIPT)):
        if (value := text(merged, name, limit)) is not None:
            changes[name] = value
    if (args := text(body, "args", MAX_SCRIPT)) is not None:
        changes["args"] = shlex.split(args)
    if template or body.get("env") is not None:
        changes["env"] = {**(template or {}).get("env", {}), **_env(body.get("env"))}
    if template:
        changes["template"] = template["template"]
    if not changes:
        raise invalid_args("expected template_id, template_hash_id, image, args, env or onstart.")
    return changes


def _runtype(value: Any, *, has_args: bool) -> str:
    if value is None:
        value = "args" if has_args else "ssh"
    if "jupyter" in str(value):
        raise invalid_args("runtype: the simulator serves no Jupyter; use ssh_direct or ssh_proxy.")
    if value not in RUNTYPES:
        raise invalid_args(f"runtype: {value!r} is not one of {', '.join(RUNTYPES)}.")
    return RUNTYPES[value]


def _env(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_args('env: expected an object such as {"NAME": "value", "-p 80:80": "1"}.')
    for name, content in value.items():
        if not isinstance(content, str):
            raise invalid_args(f"env: {name} must be a string.")
        if len(content) > MAX_ENV_VALUE:
            raise invalid_args(f"env: {name} has more than {MAX_ENV_VALUE} characters.")
        if name.startswith("-v"):
            raise invalid_args("env: the simulator does not mount volumes (-v).")
    if sum(len(name) + len(content) for name, content in value.items()) > MAX_ENV_TOTAL:
        raise invalid_args(f"env: more than {MAX_ENV_TOTAL} characters together.")
    return value
