"""Which offer to rent: from the need to a query, from offers to a ranked choice. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.spec import gpus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from components.spec.node import Node
    from components.vast.wire import Offer

MIB_PER_GB = 937.5
"""A card sold as 24 GB reports 23028 to 24576 MiB: this much a GB tells 24 from 20 and loses none."""

_HOURS_PER_MONTH = 720


@dataclass(frozen=True)
class Ranking:
    """Offers that fit, cheapest first, and why the others do not."""

    offers: tuple[Offer, ...]
    rejected: Counter[str]

    def explain(self) -> str:
        """Say in one line how many fit and what excluded the rest, the commonest reason first."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.rejected.most_common(6))
        return f"{len(self.offers)} fit" + (f"; not: {reasons}" if reasons else "")


def query(node: Node) -> dict[str, Any]:
    """Return the search for `node`.

    It names the GPUs and, since Vast.ai would leave them out, the unverified hosts where they may serve;
    `rank` applies the other conditions, so that it can say what each excluded.
    """
    return {
        "type": "on-demand" if node.fixed_bid is None else "bid",
        "gpu_name": {"in": [name for model in node.gpu.models for name in gpus.names(model)]},
        "num_gpus": {"eq": node.gpu.count},
        "verified": {"in": [True] if node.verified else [True, False]},
        "rentable": {"eq": True},
        "external": {"eq": False},
        "allocated_storage": node.disk,
        "order": [["dph_total" if node.fixed_bid is None else "min_bid", "asc"]],
        "limit": 512,
    }


def price(offer: Offer, node: Node) -> float:
    """Return what `offer` costs in $/h while it runs, GPU and disk: on demand, or at the node's bid."""
    if node.fixed_bid is None:
        return offer.dph_total
    return node.fixed_bid + offer.storage_cost * node.disk / _HOURS_PER_MONTH


def rank(offers: Iterable[Offer], node: Node, bad_machines: Collection[int] = ()) -> Ranking:
    """Return the offers that fit `node`, by price, then reliability, then id; and what excluded the rest."""
    fitting: list[Offer] = []
    rejected: Counter[str] = Counter()
    for offer in offers:
        if reason := _misfit(offer, node, bad_machines):
            rejected[reason] += 1
        else:
            fitting.append(offer)
    fitting.sort(key=lambda offer: (price(offer, node), -offer.reliability, offer.id))
    return Ranking(tuple(fitting), rejected)


def describe(offer: Offer, node: Node) -> str:
    """Describe `offer` in one line for a person."""
    return (
        f"{offer.num_gpus}x {offer.gpu_name} {offer.gpu_ram / 1024:.0f} GB in {offer.country or 'unknown'}, "
        f"{price(offer, node):.3f} $/h, reliability {offer.reliability:.3f}, "
        f"{offer.inet_down:.0f}/{offer.inet_up:.0f} Mbps (machine {offer.machine_id})"
    )


def _misfit(offer: Offer, node: Node, bad_machines: Collection[int]) -> str:
    cost, gpu = price(offer, node), node.gpu
    names = {name for model in gpu.models for name in gpus.names(model)}
    checks = (
        (not offer.rentable, "rented by someone else"),
        (offer.machine_id in bad_machines, "on a machine that failed here before"),
        (offer.gpu_name not in names or offer.num_gpus != gpu.count, "with another GPU or count"),
        (gpu.vram and offer.gpu_ram < gpu.vram * MIB_PER_GB, f"with less than {gpu.vram or 0:g} GB of VRAM"),
        (offer.cuda_max_good < gpu.cuda, f"with a driver older than CUDA {gpu.cuda:g}"),
        (cost > node.max_price, f"dearer than {node.max_price:g} $/h"),
        (
            node.fixed_bid is not None and offer.min_bid > node.fixed_bid,
            f"not for a bid of {node.fixed_bid or 0:g} $/h",
        ),
        (offer.disk_space < node.disk, f"with less than {node.disk:g} GB of disk"),
        (offer.cpu_cores_effective < node.cpu, f"with fewer than {node.cpu} cores"),
        (offer.cpu_ram < node.ram * MIB_PER_GB, f"with less than {node.ram:g} GB of memory"),
        (offer.inet_down < node.internet.down, f"slower than {node.internet.down:g} Mbps down"),
        (offer.inet_up < node.internet.up, f"slower than {node.internet.up:g} Mbps up"),
        (offer.reliability < node.reliability, f"less reliable than {node.reliability:g}"),
        (node.verified and offer.verification != "verified", "not verified"),
        (node.countries and offer.country not in node.countries, f"outside {', '.join(node.countries)}"),
        (offer.direct_port_count < 1, "without an open port for direct SSH"),
        (offer.direct_port_count <= len(node.ports), f"with fewer than {1 + len(node.ports)} open ports"),
    )
    return next((reason for excluded, reason in checks if excluded), "")
