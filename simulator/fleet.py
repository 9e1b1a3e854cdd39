"""The machines of the market, drawn from a seed: hardware, place, network, prices and hidden quality.

A machine never changes. What changes with time (prices, who rents it, whether it is up) is the
market's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from simulator.gpus import GPUS, GpuModel

PLACES = (
    ("Oregon, US", 10), ("California, US", 8), ("Texas, US", 7), (", US", 6), ("Iowa, US", 4),
    ("Quebec, CA", 6), ("Ontario, CA", 3), ("Hesse, DE", 7), (", DE", 2), ("Sweden, SE", 6),
    ("Netherlands, NL", 5), ("Czechia, CZ", 5), ("Poland, PL", 5), ("France, FR", 5),
    ("Spain, ES", 5), ("United Kingdom, GB", 4), ("Norway, NO", 4), ("Finland, FI", 3),
    ("Bulgaria, BG", 3), ("Ukraine, UA", 2), ("Taiwan, TW", 4), ("Japan, JP", 3),
    ("South Korea, KR", 3), ("Vietnam, VN", 2), ("Australia, AU", 2), ("Brazil, BR", 1),
)  # fmt: skip
DRIVERS = (
    (12.2, "535.183.01"), (12.4, "550.127.05"), (12.6, "560.35.03"), (12.8, "570.124.04"),
    (12.8, "570.133.07"), (12.9, "575.57.08"), (13.0, "580.65.06"),
)  # fmt: skip
CPUS = (
    ("AMD EPYC 7543 32-Core Processor", 64, 3.7),
    ("AMD EPYC 7763 64-Core Processor", 128, 3.5),
    ("AMD EPYC 9354 32-Core Processor", 64, 3.8),
    ("Xeon® Gold 6338", 64, 3.2),
)
DESKTOP_CPUS = (
    ("AMD Ryzen 9 5950X 16-Core Processor", 32, 4.9),
    ("AMD Ryzen 7 5800X 8-Core Processor", 16, 4.7),
    ("Core™ i9-13900K", 32, 5.8),
    ("Core™ i5-12400", 12, 4.4),
)
HIDDEN_FAULTS = ("slow_boot", "never_running", "stuck_loading", "dead_ssh", "wrong_gpu")


@dataclass(frozen=True)
class Machine:
    """One host machine; money in dollars, storage in GB, network in Mbps.

    Attributes:
        index: its place in the fleet.
        gpu_price: $/h of one GPU before the market moves.
        bid_share: the usual minimum bid as a share of the on-demand price.
        hidden_fault: what renters find out only after they have rented, or None.
    """

    index: int
    machine_id: int
    host_id: int
    gpu: GpuModel
    num_gpus: int
    gpu_price: float
    bid_share: float
    storage_cost: float
    inet_up_cost: float
    inet_down_cost: float
    inet_up: float
    inet_down: float
    disk_space: float
    disk_bw: float
    disk_name: str
    cpu_name: str
    cpu_cores: int
    cpu_ghz: float
    cpu_ram: int
    cuda_max_good: float
    driver_version: str
    os_version: str
    pci_gen: float
    pcie_bw: float
    geolocation: str
    public_ipaddr: str
    hosting_type: int
    static_ip: bool
    direct_port_count: int
    reliability: float
    verification: str
    days_listed: float
    days_left: float
    hidden_fault: str | None


def build_fleet(seed: int) -> tuple[Machine, ...]:
    """Return the machines of `seed`, the same ones every time."""
    random = Random(f"fleet/{seed}")
    kinds = [(gpu, count) for gpu in GPUS for count in gpu.counts]
    random.shuffle(kinds)
    return tuple(_draw(random, index, gpu, count) for index, (gpu, count) in enumerate(kinds))


def _draw(random: Random, index: int, gpu: GpuModel, num_gpus: int) -> Machine:
    datacenter = random.random() < gpu.datacenter
    server = datacenter or num_gpus >= 4
    cpu_name, cpu_cores, cpu_ghz = random.choice(CPUS if server else DESKTOP_CPUS)
    cuda, driver = random.choice([d for d in DRIVERS if d[0] >= gpu.min_cuda])
    reliability = random.uniform(0.985, 0.9995) if datacenter else 1 - min(0.12, random.expovariate(45))
    verified = random.random() < (0.95 if datacenter else 0.72)
    pci_gen = 4.0 if gpu.compute_cap >= 800 else 3.0
    down = random.uniform(900, 8000) if datacenter else random.uniform(120, 1400)
    return Machine(
        index=index,
        machine_id=40_101 + index * 7,
        host_id=4_112 + random.randrange(60),
        gpu=gpu,
        num_gpus=num_gpus,
        gpu_price=round(gpu.price * random.uniform(0.82, 1.28), 4),
        bid_share=random.uniform(0.42, 0.62),
        storage_cost=round(random.uniform(0.08, 0.28), 3),
        inet_up_cost=round(random.choice([0.0, 0.001, 0.003, 0.005, 0.012, 0.02]), 4),
        inet_down_cost=round(random.choice([0.0, 0.001, 0.002, 0.004, 0.01]), 4),
        inet_up=round(down * random.uniform(0.3, 0.95), 1),
        inet_down=round(down, 1),
        disk_space=round(num_gpus * random.uniform(180, 900), 1),
        disk_bw=round(random.uniform(900, 6800), 1),
        disk_name=random.choice(["Samsung SSD 990 PRO", "KIOXIA KCD6", "WD_BLACK SN850X", "nvme"]),
        cpu_name=cpu_name,
        cpu_cores=cpu_cores,
        cpu_ghz=cpu_ghz,
        cpu_ram=num_gpus * random.choice([32, 64, 96, 128]) * 1000 + random.randrange(900),
        cuda_max_good=cuda,
        driver_version=driver,
        os_version=random.choice(["22.04", "22.04", "24.04"]),
        pci_gen=pci_gen,
        pcie_bw=round(random.uniform(11, 25), 1),
        geolocation=random.choices(*zip(*PLACES, strict=True))[0],
        public_ipaddr=f"198.51.100.{1 + index % 254}",
        hosting_type=1 if datacenter else 0,
        static_ip=datacenter or random.random() < 0.5,
        direct_port_count=random.choice([0, 24, 100, 250]) if not datacenter else 500,
        reliability=round(reliability, 4),
        verification="verified" if verified else random.choice(["unverified"] * 4 + ["deverified"]),
        days_listed=random.uniform(5, 200),
        days_left=random.uniform(4, 120),
        hidden_fault=_hidden_fault(random, reliability),
    )


def _hidden_fault(random: Random, reliability: float) -> str | None:
    """Return what is wrong with a machine: likelier the less reliable it is said to be."""
    chance = 0.01 + (1 - reliability)
    drawn, which = random.random(), random.choice(HIDDEN_FAULTS)
    return which if drawn < chance else None
