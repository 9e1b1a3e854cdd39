"""What the providers do on an account, in terms of their resources' properties. Knows no Pulumi.

The providers import this only when they act: a preview needs neither HTTP nor SSH, and starts faster without.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from components.cost.purchase import Purchase
from components.errors import ProvisioningError, Unreachable
from components.remote.shell import PATIENCE, Login
from components.say import say
from components.spec.node import Node
from components.vast import keys
from components.vast.bidding import reconsider
from components.vast.lifecycle import Acquisition
from components.vast.machines import BadMachines, GoneMachines
from components.vast.outputs import drift, outputs, refreshed
from components.vast.release import owned, release
from components.vast.renewal import renew
from components.vast.request import RentRequest, key_tag, owner_of
from components.vast.settings import Settings
from components.vast.status import Status, status

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.vast.bidding import Rebid
    from components.vast.wire import Instance

Props = dict[str, Any]


class Account:
    """The Vast.ai account that the stack's config or the environment names."""

    def __init__(self, config: Callable[[str], str | None], made_at: str | None = None) -> None:
        """Open the account; `made_at` is the base URL at which the resource was made, if it was.

        Raises:
            VastError: no key is set, or the resource was made at another base URL.
        """
        self.api = Settings(config).api(made_at)

    def make_key(self, stack: str) -> Props:
        """Make an SSH key for `stack`, register it, and return its outputs."""
        private, public = keys.generate(f"fragua {stack}")
        on_account = keys.register(self.api, public)
        if not on_account:
            say("the account is a team's and holds no SSH keys; the key goes to each instance alone")
        return {"url": self.api.url, "public_key": public, "private_key": private, "on_account": on_account}

    def holds_key(self, public_key: str) -> bool:
        """Return whether the account holds the key."""
        return keys.registered(self.api, public_key)

    def register_key(self, public_key: str) -> bool:
        """Register the key again; return whether the account holds it."""
        return keys.register(self.api, public_key)

    def remove_key(self, public_key: str) -> None:
        """Remove the key, and first what an interrupted run rented with it and no state knows."""
        release(self.api, [], key_tag(public_key))
        keys.remove(self.api, public_key)

    def acquire(self, props: Props, pinned: dict[int, str] | None = None) -> list[Props]:
        """Rent or take up the machines that `props` ask for and return each one's outputs."""
        request = _request(props)
        tell = partial(say, f"{request.name}:")
        acquisition = Acquisition(self.api, request, BadMachines(self.api.url), tell, pinned)
        return [outputs(machine) for machine in acquisition.run()]

    def read(self, instance_id: int, machine: Props) -> Props | None:
        """Return a machine's outputs as they are now; None where neither the list nor the id knows it."""
        listed = self.api.instances(id=instance_id)
        instance = listed[0] if listed else self.api.instance(instance_id)
        if instance is None:
            self._gone(machine)
            return None
        return _reread(machine, instance)

    def read_all(self, props: Props) -> list[Props]:
        """Return the outputs of those machines of a gang that still exist."""
        listed = {
            instance.id: instance
            for instance in owned(self.api, owner_of(props["public_key"], props["name"]))
        }
        return [
            _reread(machine, listed[machine["instance_id"]])
            for machine in props["machines"]
            if machine["instance_id"] in listed
        ]

    def change(self, machine: Props, olds: Props, news: Props) -> Props:
        """Change label, bid and SSH key of a rented machine in place and return its outputs.

        Raises:
            RemoteError: its watchdog could not be told of a bid, which is raised only if it was.
        """
        new, instance_id = _request(news), int(machine["instance_id"])
        if machine["label"] != new.label:
            self.api.set_label(instance_id, new.label)
        bid = new.node.fixed_bid
        if bid is not None and bid != machine.get("bid", olds["node"].get("bid")):
            machine = self._bid(machine, olds, bid)
        if new.public_key != olds["public_key"]:
            self.api.attach_key(instance_id, new.public_key)
        return {**machine, "label": new.label}

    def _bid(self, machine: Props, olds: Props, bid: float) -> Props:
        """Change a bid, and tell the watchdog of a machine that runs: of a higher one before it counts."""
        instance_id = int(machine["instance_id"])
        instance = self.api.instance(instance_id)
        if instance is None:
            raise ProvisioningError(f"instance {instance_id} is gone: `pulumi up --refresh` rents another")
        rate = round(bid + instance.dph_total - instance.dph_base, 6)
        told = machine["status"] == Status.RUNNING and olds.get("lease") is not None
        first = status(instance) is Status.RUNNING and bid > instance.dph_base
        if told and first:
            self._tell(machine, olds, rate=rate)
        self.api.change_bid(instance_id, bid)
        if told and not first:
            self._tell(machine, olds, rate=rate)
        return {**machine, "bid": bid, "price": rate}

    def reconsider(self, machine: Props, share: float, spent: float = 0) -> Rebid | None:
        """Change the bid of a machine of `bid: auto` in place, where its price moved and that pays.

        Args:
            machine: the resource's outputs, with the stack's `private_key`.
            share: what is left of its job, from 0 to 1.
            spent: $ that the job cost until now.

        Returns:
            What was done; None where nothing was, or nobody knows what the job is.

        Raises:
            RemoteError: the machine runs and could not be told of a higher price; the bid is as it was.
        """
        if not machine.get("purchase"):
            return None
        node, purchase = Node.model_validate(machine["node"]), Purchase.model_validate(machine["purchase"])
        bad = BadMachines(self.api.url).ids()
        return reconsider(
            self.api,
            int(machine["instance_id"]),
            node,
            purchase,
            share,
            bad,
            spent=spent,
            tell=lambda rate: self._tell(machine, machine, rate=rate),
        )

    def renew(self, machine: Props, props: Props, rate: float | None = None) -> None:
        """Renew a machine's lease, with the limits that `props` have now.

        Args:
            machine: its outputs.
            props: the resource's inputs.
            rate: $/h of the machine, where its watchdog may have another.

        Raises:
            RemoteError: it was not reached, and keeps those that it has.
        """
        try:
            self._tell(machine, props, _request(props).lease.limits(), rate)
        except Unreachable as error:
            raise Unreachable(
                f"instance {int(machine['instance_id'])} could not be told its new limits: {error}. Where it "
                "has ended itself, `pulumi up --refresh` goes on, on it or another"
            ) from None

    @staticmethod
    def _tell(machine: Props, props: Props, limits: str = "", rate: float | None = None) -> None:
        login = Login.of({**machine, "private_key": props["private_key"]})
        renew(login, limits, rate=rate, used=True, patience=PATIENCE)

    def release(self, instance_ids: list[int], props: Props) -> None:
        """Destroy machines and whatever else carries their owner's label, proved by the account's list."""
        release(self.api, instance_ids, owner_of(props["public_key"], props["name"]))
        self._gone(props)

    def _gone(self, machine: Props) -> None:
        GoneMachines(self.api.url).add(owner_of(machine["public_key"], machine["name"]), machine)


def _reread(machine: Props, instance: Instance) -> Props:
    """Return a machine's outputs now, and say what moved: Pulumi shows only what `up` would undo."""
    new = refreshed(machine, instance)
    if moved := drift(machine, new):
        say(f"instance {instance.id}: {moved}")
    return new


def _request(props: Props) -> RentRequest:
    return RentRequest.model_validate(
        {name: props[name] for name in RentRequest.model_fields if props.get(name) is not None}
    )
