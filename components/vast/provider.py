"""Pulumi dynamic providers of this room: they decode, call one function of a lower floor, and encode.

The module path and the class names are in every stack's state: `destroy` loads them from there. Providers
hold nothing but the settings that `configure` reads in the plugin's own process, so nothing is pickled.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.runtime import rpc
from pydantic import ValidationError

from components.say import say
from components.spec.node import Node
from components.vast import keys, policy
from components.vast.lifecycle import Acquisition
from components.vast.machines import BadMachines
from components.vast.outputs import outputs, refreshed
from components.vast.release import release
from components.vast.request import RentRequest
from components.vast.settings import Settings
from components.vast.status import Status

if TYPE_CHECKING:
    from components.vast.client import Api

_REQUEST_FIELDS = ("stack", "name", "node", "count", "public_key", "private_key")


class VastProvider(ResourceProvider):
    """What the providers of this room share."""

    serialize_as_secret_always = False  # only a class name is serialized

    def configure(self, req: ConfigureRequest) -> None:
        """Read where the API is; the key stays in this process."""
        self._settings = Settings(req.config.get)


class SshKeyProvider(VastProvider):
    """One ed25519 key for each stack, on the account while the stack lives."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make a key and register it."""
        api = self._settings.api()
        private, public = keys.generate(f"fragua {props['stack']}")
        on_account = keys.register(api, public)
        if not on_account:
            say("the account is a team's and holds no SSH keys; the key goes to each instance alone")
        return CreateResult(
            public.split()[1][-16:],
            {**props, "url": api.url, "public_key": public, "private_key": private, "on_account": on_account},
        )

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace for another stack's name; register anew where the account lost the key."""
        renamed = olds["stack"] != news["stack"]
        return DiffResult(
            changes=renamed or not olds["on_account"],
            replaces=["stack"] if renamed else [],
            delete_before_replace=True,
        )

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look whether the account still holds the key."""
        api = self._settings.api(props["url"])
        return ReadResult(id_, {**props, "on_account": keys.registered(api, props["public_key"])})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Register the key again."""
        on_account = keys.register(self._settings.api(olds["url"]), olds["public_key"])
        return UpdateResult({**olds, **news, "on_account": on_account})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Remove the key from the account."""
        keys.remove(self._settings.api(props["url"]), props["public_key"])


class InstanceProvider(VastProvider):
    """One verified machine."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse a node that cannot be right, before a cent is spent."""
        return CheckResult(news, failures(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare what is declared with what was rented; the market has no say."""
        return difference(olds, news, olds)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Rent, wait, verify; fall back to the next offer as often as the limits allow."""
        api = self._settings.api()
        [machine] = acquire(api, props)
        return CreateResult(str(machine["instance_id"]), {**props, "url": api.url, **machine})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Read state, price and address; what neither the list nor the id knows is gone."""
        api = self._settings.api(props["url"])
        instance = next(iter(api.instances(id=int(id_))), None) or api.instance(int(id_))
        return ReadResult(id_, refreshed(props, instance)) if instance else ReadResult("", {})

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change label, bid and SSH key in place; start and verify again what does not run."""
        api = self._settings.api(olds["url"])
        change(api, olds, request(olds), request(news))
        if olds["status"] != Status.RUNNING:
            same = {**news, "node": {**news["node"], "adopt": int(id_)}}
            [machine] = acquire(api, same, {int(id_): olds["host_key"]})
        else:
            machine = {**olds, "label": request(news).label}
        return UpdateResult({**olds, **machine, **news})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Destroy the machine and whatever else carries its label, proved by the account's list."""
        release(self._settings.api(props["url"]), [int(id_)], request(props).owner)


def request(props: dict[str, Any]) -> RentRequest:
    """Decode the inputs of an instance or a gang."""
    return RentRequest.model_validate({field: props[field] for field in _REQUEST_FIELDS if field in props})


def failures(news: dict[str, Any]) -> list[CheckFailure]:
    """Return what is wrong with the node of an instance or a gang; unknown values are not judged."""
    if _has_unknowns(news["node"]):
        return []
    try:
        Node.model_validate(news["node"])
    except ValidationError as error:
        return [
            CheckFailure(".".join(["node", *map(str, problem["loc"])]), problem["msg"])
            for problem in error.errors()
        ]
    return []


def difference(olds: dict[str, Any], news: dict[str, Any], machine: dict[str, Any]) -> DiffResult:
    """Compare the node that `machine` was rented for with the one now declared."""
    if _has_unknowns(news["node"]):
        return DiffResult(changes=True, delete_before_replace=True)
    change = policy.compare(Node.model_validate(olds["node"]), Node.model_validate(news["node"]), machine)
    moved = [name for name in ("stack", "name") if olds[name] != news[name]]
    new_key = news["public_key"] != olds["public_key"]
    return DiffResult(
        changes=bool(change.replace or change.update or moved or new_key),
        replaces=[*(f"node.{name}" if name in policy.NODE else name for name in change.replace), *moved],
        delete_before_replace=True,
    )


def acquire(api: Api, props: dict[str, Any], pinned: dict[int, str] | None = None) -> list[dict[str, Any]]:
    """Rent or take up what `props` ask for and return each machine's outputs."""
    wanted = request(props)
    tell = partial(say, f"{wanted.name}:")
    return [
        outputs(machine) for machine in Acquisition(api, wanted, BadMachines(api.url), tell, pinned).run()
    ]


def change(api: Api, machine: dict[str, Any], old: RentRequest, new: RentRequest) -> None:
    """Change label, bid and SSH key of one rented machine in place."""
    instance_id = int(machine["instance_id"])
    if machine["label"] != new.label:
        api.set_label(instance_id, new.label)
    if new.node.bid is not None and new.node.bid != old.node.bid:
        api.change_bid(instance_id, new.node.bid)
    if new.public_key != old.public_key:
        api.attach_key(instance_id, new.public_key)


def _has_unknowns(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_unknowns, value.values()))
    if isinstance(value, list):
        return any(map(_has_unknowns, value))
    return bool(value == rpc.UNKNOWN)
