"""An instance as the API shows it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from simulator.offers import disk_per_hour, price_split

if TYPE_CHECKING:
    from simulator.contracts import Contract
    from simulator.world import World

PORTS_LAG = 6.0  # virtual seconds from running to a port map in the answers
COPIED = (
    "machine_id", "host_id", "bundle_id", "static_ip", "direct_port_count", "num_gpus", "gpu_name",
    "gpu_ram", "gpu_frac", "gpu_arch", "gpu_lanes", "gpu_mem_bw", "bw_nvlink", "cpu_name",
    "cpu_arch", "cpu_cores", "cpu_cores_effective", "cpu_ram", "disk_bw", "disk_name",
    "cuda_max_good", "driver_version", "inet_up", "inet_down", "inet_up_cost", "inet_down_cost",
    "dlperf", "total_flops", "score", "reliability2", "verification", "hosting_type",
    "geolocation", "mobo_name", "pci_gen", "pcie_bw", "os_version", "storage_cost",
    "time_remaining", "time_remaining_isbid", "logo", "webpage",
)  # fmt: skip


def instance_view(world: World, contract: Contract, now: float) -> dict[str, Any]:
    """Return every field of an instance, `ports` included."""
    offer = contract.offer
    disk = disk_per_hour(offer["storage_cost"], contract.disk)
    total = round(contract.dph_base + disk, 6)
    running = contract.status == "running"
    template = contract.template or {}
    public = list(_public_ports(contract).values())
    return {
        "id": contract.id,
        **{name: offer[name] for name in COPIED},
        "actual_status": contract.status,
        "intended_status": contract.intended,
        "cur_state": contract.cur_state,
        "next_state": contract.next_state,
        "status_msg": contract.status_msg,
        "label": contract.label,
        "template_id": template.get("id"),
        "template_hash_id": template.get("hash_id"),
        "template_name": template.get("name"),
        "image_uuid": contract.image,
        "image_args": contract.args,
        "image_runtype": contract.runtype,
        "extra_env": [[name, value] for name, value in contract.env.items()],
        "onstart": contract.onstart,
        "jupyter_token": contract.jupyter_token,
        "ssh_host": "127.0.0.1" if contract.has_ssh else None,
        "ssh_port": contract.proxy_port if contract.has_ssh else None,
        "ssh_idx": "7",
        "public_ipaddr": "127.0.0.1\n",
        "local_ipaddrs": "10.4.0.9 172.17.0.3 \n",
        "ports": _port_map(contract, now),
        "direct_port_start": min(public, default=-1),
        "direct_port_end": max(public, default=-1),
        "machine_dir_ssh_port": 41022,
        "is_bid": contract.bid is not None,
        "min_bid": world.admission.winning_bid(contract, now),
        "dph_base": round(contract.dph_base, 6),
        "dph_total": total,
        "search": price_split(contract.dph_base, disk),
        "instance": price_split(contract.dph_base if running else 0.0, disk),
        "storage_total_cost": round(disk, 6),
        "start_date": contract.created_at,
        "end_date": contract.end_date,
        "duration": max(0.0, contract.end_date - now),
        "uptime_mins": None if contract.running_since is None else _minutes(contract, now),
        "client_run_time": 1.1,
        "host_run_time": 2592000.0,
        "gpu_totalram": offer["gpu_total_ram"],
        "gpu_util": 0.0 if running else None,
        "gpu_temp": 41.0 if running else None,
        "cpu_util": 0.0,
        "mem_limit": None,
        "mem_usage": None,
        "vmem_usage": None,
        "disk_space": contract.disk,
        "disk_usage": -1,
        "disk_util": -1,
        "dlperf_per_dphtotal": round(offer["dlperf"] / total, 3),
        "flops_per_dphtotal": round(offer["total_flops"] / total, 3),
        "vram_costperhour": total / offer["gpu_total_ram"],
        "rentable": contract.cur_state != "running",
        "country_code": offer["geolocation"][-2:],
        "external": False,
        "volume_info": [],
        "credit_balance": None,
        "credit_discount": None,
        "credit_discount_max": offer["credit_discount_max"],
    }


def _minutes(contract: Contract, now: float) -> float:
    return math.floor((now - (contract.running_since or now)) / 6) / 10


def _public_ports(contract: Contract) -> dict[str, int]:
    """Return the ports that are open to the internet: none without ports on the host."""
    if not contract.offer["direct_port_count"]:
        return {}
    direct = "ssh_direc" in contract.runtype
    return {name: port for name, port in contract.ports.items() if direct or name != "22/tcp"}


def _port_map(contract: Contract, now: float) -> dict[str, list[dict[str, str]]] | None:
    """Return docker's port map, which lags a little behind `running`."""
    since = contract.running_since
    if contract.status != "running" or since is None or now < since + PORTS_LAG:
        return None
    return {
        name: [{"HostIp": ip, "HostPort": str(port)} for ip in ("0.0.0.0", "::")]  # noqa: S104
        for name, port in _public_ports(contract).items()
    }
