"""Offers: the slices of a machine that can be rented, and how the API shows one.

Knows the fields and the arithmetic of an offer. Not whether it is free, nor what it costs now:
the market says that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.noise import uniform

if TYPE_CHECKING:
    from simulator.fleet import Machine

HOURS_PER_MONTH = 720
FIRST_OFFER_ID = 21_400_000
FIRST_VOLUME_ASK = 24_000_000
RENTALS_STRIDE = 100_000  # an ask that was rented and released comes back under a new id


@dataclass(frozen=True)
class Offer:
    """A slice of one machine's GPUs.

    Attributes:
        index: its place among all offers, stable over rentals.
        gpus: the machine's GPU slots in it.
    """

    index: int
    machine: Machine
    gpus: tuple[int, ...]

    @property
    def share(self) -> float:
        """Return the slice's part of the machine."""
        return len(self.gpus) / self.machine.num_gpus


@dataclass(frozen=True)
class Quote:
    """What an offer costs and whether it can be had, at one moment.

    Attributes:
        offer_id: the id of the ask now.
        dph_base: $/h of the GPUs on demand.
        min_bid: $/h for the whole slice below which a bid loses.
        rentable: nobody holds any of its GPUs and its host is up.
        rented: the account already has a contract on the machine.
    """

    offer_id: int
    dph_base: float
    min_bid: float
    rentable: bool
    rented: bool


def slice_machines(fleet: tuple[Machine, ...]) -> tuple[Offer, ...]:
    """Return every slice: the whole machine, its halves, and so on down to single GPUs."""
    offers: list[Offer] = []
    for machine in fleet:
        size = machine.num_gpus
        while size:
            for first in range(0, machine.num_gpus, size):
                slots = tuple(range(first, first + size))
                offers.append(Offer(len(offers), machine, slots))
            size //= 2
    return tuple(offers)


def disk_per_hour(storage_cost: float, disk: float) -> float:
    """Return $/h of `disk` GB at `storage_cost` $/GB/month."""
    return storage_cost * disk / HOURS_PER_MONTH


def price_split(gpu: float, disk: float, discount: float = 0.0) -> dict[str, float]:
    """Return the `search`/`instance` object: the hourly price in its parts."""
    total = round(gpu + disk, 6)
    return {
        "gpuCostPerHour": round(gpu, 6),
        "diskHour": round(disk, 6),
        "totalHour": total,
        "discountTotalHour": round(discount, 6),
        "discountedTotalPerHour": round(total - discount, 6),
    }


def driver_number(version: str) -> int:
    """Return a driver version as the integer the filters compare, 3 digits a part."""
    return int("".join(part.zfill(3) for part in version.split(".")))


def describe(offer: Offer, quote: Quote, now: float, *, storage: float, kind: str) -> dict[str, Any]:
    """Return the offer as the API answers it.

    Args:
        offer: the slice.
        quote: its price and state at `now`.
        now: virtual epoch seconds.
        storage: GB that `dph_total` is computed for.
        kind: `on-demand`, `bid` or `reserved`.
    """
    machine, gpu, count = offer.machine, offer.machine.gpu, len(offer.gpus)
    base = quote.min_bid if kind == "bid" else quote.dph_base
    disk = disk_per_hour(machine.storage_cost, storage)
    total = base + disk
    discount = base * 0.4 if kind == "reserved" else 0.0
    tflops, dlperf = gpu.tflops * count, round(gpu.dlperf * count, 3)
    return {
        "id": quote.offer_id,
        "ask_contract_id": quote.offer_id,
        "bundle_id": 1_240_000 + machine.index * 16 + count,
        "bundled_results": None,
        "machine_id": machine.machine_id,
        "host_id": machine.host_id,
        "hosting_type": machine.hosting_type,
        "hostname": None,
        "external": None,
        "num_gpus": count,
        "gpu_name": gpu.name,
        "gpu_arch": "nvidia",
        "gpu_ram": gpu.ram,
        "gpu_total_ram": gpu.ram * count,
        "gpu_frac": offer.share,
        "gpu_ids": [machine.machine_id * 10 + slot for slot in offer.gpus],
        "gpu_lanes": 16,
        "gpu_mem_bw": gpu.mem_bw,
        "gpu_max_power": gpu.power,
        "gpu_max_temp": 88.0,
        "gpu_display_active": False,
        "bw_nvlink": gpu.nvlink if count > 1 else 0.0,
        "compute_cap": gpu.compute_cap,
        "cuda_max_good": machine.cuda_max_good,
        "driver_version": machine.driver_version,
        "driver_vers": driver_number(machine.driver_version),
        "total_flops": round(tflops, 2),
        "dlperf": dlperf,
        "dlperf_per_dphtotal": round(dlperf / total, 3),
        "flops_per_dphtotal": round(tflops / total, 3),
        "score": round(dlperf / total * machine.reliability**4, 3),
        "cpu_name": machine.cpu_name,
        "cpu_arch": "amd64",
        "cpu_cores": machine.cpu_cores,
        "cpu_cores_effective": machine.cpu_cores * offer.share,
        "cpu_ghz": machine.cpu_ghz,
        "cpu_ram": machine.cpu_ram,
        "has_avx": 1,
        "mobo_name": "SIM-ROME8" if machine.num_gpus >= 4 else "SIM-X570",
        "pci_gen": machine.pci_gen,
        "pcie_bw": machine.pcie_bw,
        "os_version": machine.os_version,
        "disk_space": round(machine.disk_space * offer.share, 1),
        "disk_bw": machine.disk_bw,
        "disk_name": machine.disk_name,
        "storage_cost": machine.storage_cost,
        "storage_total_cost": round(disk, 6),
        "inet_up": machine.inet_up,
        "inet_down": machine.inet_down,
        "inet_up_cost": machine.inet_up_cost,
        "inet_down_cost": machine.inet_down_cost,
        "internet_up_cost_per_tb": round(machine.inet_up_cost * 1000, 3),
        "internet_down_cost_per_tb": round(machine.inet_down_cost * 1000, 3),
        "static_ip": machine.static_ip,
        "public_ipaddr": machine.public_ipaddr,
        "direct_port_count": machine.direct_port_count,
        "geolocation": machine.geolocation,
        "geolocode": int(uniform("geo", machine.geolocation[-2:]) * 2**24),
        "dph_base": round(base, 6),
        "dph_total": round(total, 6),
        "dph_total_adj": round(total, 6),
        "discounted_dph_total": round(total - discount, 6),
        "discount_rate": 0.4 if kind == "reserved" else 0.0,
        "discounted_hourly": 0.0,
        "credit_discount_max": 0.4,
        "min_bid": quote.min_bid,
        "is_bid": kind == "bid",
        "vram_costperhour": total / (gpu.ram * count),
        "platform_fee": None,
        "search": price_split(base, disk, discount),
        "instance": price_split(0.0, disk),
        "reliability": machine.reliability,
        "reliability2": machine.reliability,
        "reliability_mult": 0.99,
        "expected_reliability": machine.reliability,
        "verification": machine.verification,
        "vericode": 1 if machine.verification == "verified" else 0,
        "rentable": quote.rentable,
        "rented": quote.rented,
        "vms_enabled": False,
        "is_vm_deverified": False,
        "resource_type": "gpu",
        "cluster_id": None,
        "start_date": now - machine.days_listed * 86400,
        "end_date": now + machine.days_left * 86400,
        "duration": machine.days_left * 86400,
        "avail_vol_ask_id": FIRST_VOLUME_ASK + machine.index,
        "avail_vol_dph": round(disk_per_hour(machine.storage_cost, 1), 6),
        "avail_vol_size": round(machine.disk_space * 0.5, 1),
        "nw_disk_min_bw": None,
        "nw_disk_avg_bw": None,
        "nw_disk_max_bw": None,
        "time_remaining": "",
        "time_remaining_isbid": "",
        "rn": 1,
        "logo": "/static/logos/sim.png",
        "webpage": None,
    }
