"""Pulumi dynamic providers of this room: they decode, call one method of an account, and encode.

The module path and the class names are in every stack's state: `destroy` loads them from there. Providers
hold nothing but the config reader that `configure` gets in the plugin's own process: nothing is pickled.
"""

from __future__ import annotations

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

from components.vast import policy
from components.vast.status import Status

if TYPE_CHECKING:
    from components.vast.account import Account


class VastProvider(ResourceProvider):
    """What the providers of this room share."""

    serialize_as_secret_always = False  # only a class name is serialized

    def configure(self, req: ConfigureRequest) -> None:
        """Keep the reader of the stack's config; the API key is read from it when it is needed."""
        self._config = req.config.get

    def account(self, props: dict[str, Any]) -> Account:
        """Open the account, at the base URL where the resource was made if it exists."""
        from components.vast.account import Account  # noqa: PLC0415 - a preview needs no HTTP and no SSH

        return Account(self._config, props.get("url"))


class SshKeyProvider(VastProvider):
    """One ed25519 key for each stack, on the account while the stack lives."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make a key and register it."""
        key = self.account(props).make_key(props["stack"])
        return CreateResult(key["public_key"].split()[1][-16:], {**props, **key})

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
        return ReadResult(id_, {**props, "on_account": self.account(props).holds_key(props["public_key"])})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Register the key again."""
        on_account = self.account(olds).register_key(olds["public_key"])
        return UpdateResult({**olds, **news, "on_account": on_account})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Remove the key from the account, and what an interrupted run rented with it."""
        self.account(props).remove_key(props["public_key"])


class InstanceProvider(VastProvider):
    """One verified machine."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse a node that cannot be right, before a cent is spent."""
        return CheckResult(news, failures(olds, news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare what is declared with what was rented; the market has no say."""
        return difference(olds, news, olds)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Rent, wait, verify; fall back to the next offer as often as the limits allow."""
        account = self.account(props)
        [machine] = account.acquire(props)
        return CreateResult(str(machine["instance_id"]), {**props, "url": account.api.url, **machine})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Read state, price and address; what neither the list nor the id knows is gone."""
        machine = self.account(props).read(int(id_), props)
        return ReadResult(id_, machine) if machine else ReadResult("", {})

    def update(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change label, bid, SSH key and lease in place; start and verify again what does not run."""
        account = self.account(olds)
        machine = account.change(olds, olds, news)
        if olds["status"] != Status.RUNNING:
            same = {**news, "node": {**news["node"], "adopt": int(id_)}}
            [machine] = account.acquire(same, {int(id_): olds["host_key"]})
            account.renew({**olds, **machine}, news, machine["price"])
        elif new_lease(olds, news):
            account.renew({**olds, **machine}, news)
        return UpdateResult({**olds, **machine, **news})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Destroy the machine."""
        self.account(props).release([int(id_)], props)


def failures(olds: dict[str, Any], news: dict[str, Any]) -> list[CheckFailure]:
    """Return what is wrong with the node of an instance or a gang; unknown values are not judged."""
    if olds.get("node") == news["node"] or _has_unknowns(news["node"]):
        return []
    from pydantic import ValidationError  # noqa: PLC0415 - an unchanged node needs no pydantic

    from components.spec.node import Node  # noqa: PLC0415 - likewise

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
    change = policy.compare(olds["node"], news["node"], machine)
    moved = [name for name in ("stack", "name") if olds[name] != news[name]]
    new_key = news["public_key"] != olds["public_key"]
    return DiffResult(
        changes=bool(change.replace or change.update or moved or new_key or new_lease(olds, news)),
        replaces=[*(f"node.{name}" if name in policy.NODE else name for name in change.replace), *moved],
        delete_before_replace=True,
    )


def new_lease(olds: dict[str, Any], news: dict[str, Any]) -> bool:
    """Return whether another lease is declared; a machine of before there were leases is left as it is."""
    return olds.get("lease") is not None and olds["lease"] != news.get("lease")


def _has_unknowns(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_unknowns, value.values()))
    if isinstance(value, list):
        return any(map(_has_unknowns, value))
    return bool(value == rpc.UNKNOWN)
