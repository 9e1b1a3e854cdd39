"""A bid on a machine that runs or was outbid, looked at again: changed in place where that pays."""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

from components.cost.rebidding import going_on, rebid, rest
from components.cost.terms import Terms
from components.vast import offers
from components.vast.status import Status, status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from components.cost.purchase import Purchase
    from components.spec.node import Node
    from components.vast.client import Api
    from components.vast.wire import Instance

_POLL: Final = 2.0
_RESUMES: Final = 60.0
"""Seconds that Vast.ai may take to run a machine again whose bid wins."""


@dataclass(frozen=True)
class Rebid:
    """A bid that was changed.

    Attributes:
        why: what was done and why, for a person.
        rate: $/h of the machine from now, GPUs and disk.
    """

    why: str
    rate: float


def reconsider(
    api: Api,
    instance_id: int,
    node: Node,
    purchase: Purchase,
    share: float,
    bad_machines: Collection[int] = (),
    *,
    spent: float = 0,
    tell: Callable[[float], None] = lambda _: None,
) -> Rebid | None:
    """Change the bid of an interruptible machine of `bid: auto` where that costs less than anything else.

    Vast.ai does not say whether the least bid that it tells of a machine counts the machine's own: while it
    runs, that is believed only where it is below the own, so that no bid outbids itself. None is raised
    above what was approved, by the hour or in all: the machine is then left to be outbid.

    Args:
        api: the account.
        instance_id: the machine.
        node: its conditions.
        purchase: the job, and what was approved.
        share: what is left of it, from 0 to 1.
        bad_machines: ids of machines that failed here before.
        spent: $ that the job cost until now.
        tell: given the machine's new $/h, GPUs and disk, before the bid of one that runs is raised; if it
            raises an error, the bid stays.

    Returns:
        What was done; None where the bid stays as it is.
    """
    instance = api.instance(instance_id)
    if node.bid != "auto" or instance is None or not instance.is_bid or not instance.min_bid:
        return None
    outbid, terms = status(instance) is Status.OUTBID, _terms(instance)
    if not outbid and (status(instance) is not Status.RUNNING or instance.min_bid >= terms.price):
        return None
    work, known = rest(purchase.work, share), purchase.experience
    most = min(node.max_price, purchase.most(terms)) - terms.disk(node.disk)
    bid, elsewhere = rebid(work, terms, most, inf, known), inf
    if bid is not None and bid > terms.price:
        found = api.search(offers.query(node))
        going = purchase.model_copy(update={"work": work})
        others = offers.rank(found, node, going, {*bad_machines, instance.machine_id}).choices
        elsewhere = others[0].estimate.total if others else inf
        bid = rebid(work, terms, most, elsewhere, known)
    if bid is None:
        return None
    better, rate = terms.model_copy(update={"price": bid}), bid + terms.disk(node.disk)
    here = going_on(work, better, known)
    if bid > terms.price:
        if not purchase.allows(spent + here):
            return None
        if not outbid:
            tell(rate)
    api.change_bid(instance.id, bid)
    change = "raised" if bid > terms.price else "lowered"
    why = (
        f"instance {instance.id}: bid {change} from {terms.price:.3f} to {bid:.3f} $/h, since others bid "
        f"{instance.min_bid:.3f}; the rest costs {here:.2f} $ here"
    )
    if outbid:
        _await(api, instance.id)
        why += f", {elsewhere:.2f} $ anew elsewhere" if elsewhere < inf else ", and nothing else fits"
    return Rebid(why, rate)


def _terms(instance: Instance) -> Terms:
    return Terms(
        gpu=instance.gpu_name,
        gpus=instance.num_gpus,
        dlperf=instance.dlperf,
        price=instance.dph_base,
        min_bid=instance.min_bid,
        watched=True,
        storage=instance.storage_cost,
        up_cost=instance.inet_up_cost,
        down_cost=instance.inet_down_cost,
        up=instance.inet_up,
        down=instance.inet_down,
        reliability=min(1.0, instance.reliability2),
        hours_left=None if instance.duration is None else max(0.0, instance.duration / 3600),
    )


def _await(api: Api, instance_id: int) -> None:
    """Wait until the machine is no longer outbid: a refresh would take it for lost before."""
    deadline = time.monotonic() + _RESUMES
    while time.monotonic() < deadline:
        instance = api.instance(instance_id)
        if instance is None or status(instance) is not Status.OUTBID:
            return
        time.sleep(_POLL)
