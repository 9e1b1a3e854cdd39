"""The GPU models of the market, as data: what they are, what they cost, how many hosts have them.

Memory is what `nvidia-smi` reports in MiB; prices are the usual dollars per GPU and hour, near the
ranges of the field. It knows nothing of machines or offers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GpuModel:
    """One GPU model.

    Attributes:
        name: on the wire, with spaces.
        product: as `nvidia-smi` prints it.
        ram: MiB.
        price: $/h of one GPU, the middle of the market.
        compute_cap: compute capability times 100.
        tflops: fp32 TFLOPS.
        dlperf: Vast's deep-learning score.
        mem_bw: GB/s.
        power: watts.
        nvlink: GB/s, 0 without.
        min_cuda: lowest CUDA version a driver for it has.
        counts: GPUs of each machine that exists, one number per machine.
        datacenter: share of its machines that stand in a datacenter.
    """

    name: str
    product: str
    ram: int
    price: float
    compute_cap: int
    tflops: float
    dlperf: float
    mem_bw: float
    power: float
    nvlink: float
    min_cuda: float
    counts: tuple[int, ...]
    datacenter: float


def _geforce(
    model: str, ram: int, price: float, cap: int, tflops: float, dlperf: float, mem_bw: float,
    power: float, counts: tuple[int, ...], *, min_cuda: float = 12.0,
) -> GpuModel:  # fmt: skip
    return GpuModel(
        f"RTX {model}", f"NVIDIA GeForce RTX {model}", ram, price, cap, tflops, dlperf, mem_bw,
        power, 0.0, min_cuda, counts, 0.1,
    )  # fmt: skip


# fmt: off
GPUS = (
    GpuModel("A100 PCIE", "NVIDIA A100-PCIE-40GB", 40960, 1.25, 800, 19.5, 112.0, 1555.0, 250.0, 0.0, 12.0,
             (1, 1, 1, 2, 4), 0.6),
    GpuModel("A100 PCIE", "NVIDIA A100 80GB PCIe", 81920, 1.60, 800, 19.5, 120.0, 1935.0, 300.0, 0.0, 12.0,
             (1, 1, 2, 4), 0.6),
    GpuModel("A100 SXM4", "NVIDIA A100-SXM4-40GB", 40960, 1.45, 800, 19.5, 125.0, 1555.0, 400.0, 300.0, 12.0,
             (1, 1, 4, 8), 0.8),
    GpuModel("A100 SXM4", "NVIDIA A100-SXM4-80GB", 81920, 1.90, 800, 19.5, 134.0, 2039.0, 400.0, 300.0, 12.0,
             (1, 1, 1, 4, 8, 8), 0.8),
    GpuModel("H100 PCIE", "NVIDIA H100 PCIe", 81559, 2.45, 900, 51.2, 230.0, 2039.0, 350.0, 0.0, 12.2,
             (1, 1, 2), 0.9),
    GpuModel("H100 SXM", "NVIDIA H100 80GB HBM3", 81559, 2.80, 900, 66.9, 310.0, 3350.0, 700.0, 450.0, 12.2,
             (1, 4, 8), 0.9),
    GpuModel("L40S", "NVIDIA L40S", 46068, 0.95, 890, 91.6, 118.0, 864.0, 350.0, 0.0, 12.0,
             (1, 1, 2, 4), 0.7),
    GpuModel("RTX A6000", "NVIDIA RTX A6000", 49140, 0.58, 860, 38.7, 58.0, 768.0, 300.0, 0.0, 12.0,
             (1, 1, 1, 2, 4), 0.4),
    GpuModel("A10", "NVIDIA A10", 23028, 0.32, 860, 31.2, 36.0, 600.0, 150.0, 0.0, 12.0,
             (1, 1, 2), 0.8),
    GpuModel("L4", "NVIDIA L4", 23034, 0.36, 890, 30.3, 34.0, 300.0, 72.0, 0.0, 12.0,
             (1, 2), 0.9),
    _geforce("5090", 32607, 0.78, 1200, 104.8, 180.0, 1792.0, 575.0, (1, 1, 2, 4), min_cuda=12.8),
    _geforce("4090", 24564, 0.52, 890, 82.6, 98.4, 1008.0, 450.0,
             (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 8)),
    _geforce("4080", 16376, 0.34, 890, 48.7, 62.0, 717.0, 320.0, (1, 1, 1, 1, 2)),
    _geforce("4070 Ti", 12282, 0.27, 890, 40.1, 48.0, 504.0, 285.0, (1, 1, 1, 2)),
    _geforce("4070", 12282, 0.23, 890, 29.1, 38.0, 504.0, 200.0, (1, 1, 1, 2)),
    _geforce("4060 Ti", 16380, 0.26, 890, 22.1, 28.0, 288.0, 165.0, (1, 1, 1, 1, 2)),
    _geforce("4060", 8188, 0.20, 890, 15.1, 21.0, 272.0, 115.0, (1, 1, 1, 1, 1, 2)),
    _geforce("3090", 24576, 0.26, 860, 35.6, 47.2, 936.0, 350.0, (1, 1, 1, 1, 1, 1, 2, 2, 4, 8)),
    _geforce("3080", 10240, 0.19, 860, 29.8, 38.0, 760.0, 320.0, (1, 1, 1)),
    _geforce("3060", 12288, 0.12, 860, 12.7, 19.0, 360.0, 170.0, (1, 1, 1, 1)),
)
# fmt: on
"""Every model; two rows of one name differ in memory."""
