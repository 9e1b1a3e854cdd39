"""Whether an offer meets the conditions of a node, and by how much it misses them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from components.spec import gpus

if TYPE_CHECKING:
    from collections.abc import Collection

    from components.cost.terms import Terms
    from components.spec.node import Node
    from components.vast.wire import Offer

MIB_PER_GB: Final = 937.5
"""A card sold as 24 GB reports 23028 to 24576 MiB: this much a GB tells 24 from 20 and loses none."""

TAKEN: Final = "rented by someone else"
FAILED: Final = "on a machine that failed here before"


@dataclass(frozen=True)
class Misfit:
    """One condition that an offer does not meet.

    Attributes:
        reason: the condition, such as `dearer than 1 $/h`; the same for all offers that miss it.
        has: what the offer has instead, such as `1.42`.
    """

    reason: str
    has: str = ""

    def __str__(self) -> str:
        """Return both."""
        return f"{self.reason} ({self.has})" if self.has else self.reason


def misfits(offer: Offer, terms: Terms, node: Node, bad_machines: Collection[int] = ()) -> tuple[Misfit, ...]:
    """Return the conditions of `node` that `offer`, rented on `terms`, does not meet.

    Args:
        offer: as the market shows it.
        terms: on demand or by a bid.
        node: the conditions.
        bad_machines: ids of machines that failed here before.
    """
    gpu, internet = node.gpu, node.internet
    names = {name for model in gpu.models for name in gpus.names(model)}
    rate, vram, ram = terms.price + terms.disk(node.disk), offer.gpu_ram, offer.cpu_ram
    country, ports = offer.country or "unknown", 1 + len(node.ports)
    checks = (
        (not offer.rentable, TAKEN, ""),
        (offer.machine_id in bad_machines, FAILED, f"{offer.machine_id}"),
        (
            offer.gpu_name not in names or offer.num_gpus != gpu.count,
            "with another GPU or count",
            f"{offer.num_gpus}x {offer.gpu_name}",
        ),
        (
            gpu.vram and vram < gpu.vram * MIB_PER_GB,
            f"with less than {gpu.vram or 0:g} GB of VRAM",
            f"{vram / 1024:.0f}",
        ),
        (
            offer.cuda_max_good < gpu.cuda,
            f"with a driver older than CUDA {gpu.cuda:g}",
            f"{offer.cuda_max_good:g}",
        ),
        (rate > node.max_price, f"dearer than {node.max_price:g} $/h", f"{rate:.3f}"),
        (
            terms.min_bid is not None and terms.min_bid > terms.price,
            f"not for a bid of {terms.price:g} $/h",
            f"{terms.min_bid or 0:.3f}",
        ),
        (offer.disk_space < node.disk, f"with less than {node.disk:g} GB of disk", f"{offer.disk_space:g}"),
        (
            offer.cpu_cores_effective < node.cpu,
            f"with fewer than {node.cpu} cores",
            f"{offer.cpu_cores_effective:g}",
        ),
        (ram < node.ram * MIB_PER_GB, f"with less than {node.ram:g} GB of memory", f"{ram / 1024:.0f}"),
        (
            offer.inet_down < internet.down,
            f"slower than {internet.down:g} Mbps down",
            f"{offer.inet_down:.0f}",
        ),
        (offer.inet_up < internet.up, f"slower than {internet.up:g} Mbps up", f"{offer.inet_up:.0f}"),
        (
            offer.reliability < node.reliability,
            f"less reliable than {node.reliability:g}",
            f"{offer.reliability:.3f}",
        ),
        (node.verified and offer.verification != "verified", "not verified", ""),
        (
            node.countries and offer.country not in node.countries,
            f"outside {', '.join(node.countries)}",
            country,
        ),
        (
            node.avoid and (not offer.country or offer.country in node.avoid),
            f"in {', '.join(node.avoid)}, or nobody knows where",
            country,
        ),
        (node.datacenter and not offer.hosting_type, "not in a data centre", ""),
        (offer.direct_port_count < 1, "without an open port for direct SSH", ""),
        (
            1 <= offer.direct_port_count < ports,
            f"with fewer than {ports} open ports",
            f"{offer.direct_port_count}",
        ),
    )
    return tuple(Misfit(reason, has) for excluded, reason, has in checks if excluded)
