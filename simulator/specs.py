"""From a contract to the machine behind it, with the hardware it really has: hosts may lie."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from simulator.gpus import GPUS
from simulator.machine.spec import MachineSpec

if TYPE_CHECKING:
    from simulator.contracts import Contract

HARDWARE_FAULTS = ("wrong_gpu", "low_vram", "old_driver")
SANDBOX_FAULTS = frozenset({"dead_ssh", "disk_full"})
BOOT_FAULTS = ("stuck_loading", "never_running", "slow_boot")
MACHINE_FAULTS = (*HARDWARE_FAULTS, *sorted(SANDBOX_FAULTS), *BOOT_FAULTS)
"""Faults that stay with a machine; `changed_port` is an event, not a state."""
OLD_DRIVER = ("470.82.01", 11.4)


def machine_spec(contract: Contract) -> MachineSpec:
    """Return what the sandbox has to build for `contract`."""
    offer = contract.offer
    gpu = next(gpu for gpu in GPUS if (gpu.name, gpu.ram) == (offer["gpu_name"], offer["gpu_ram"]))
    spec = MachineSpec(
        contract_id=contract.id,
        image=contract.image,
        env=contract.env,
        onstart=contract.onstart,
        runtype=contract.runtype,
        gpu_name=gpu.product,
        gpu_count=offer["num_gpus"],
        gpu_ram=gpu.ram,
        driver_version=offer["driver_version"],
        cuda_max_good=offer["cuda_max_good"],
        cpu_cores=max(1, int(offer["cpu_cores_effective"])),
        ram=int(offer["cpu_ram"] * offer["gpu_frac"]),
        disk=contract.disk,
        inet_down=offer["inet_down"],
        inet_up=offer["inet_up"],
        container_api_key=contract.container_key,
        faults=SANDBOX_FAULTS & set(contract.faults),
    )
    for fault in contract.faults:
        if fault == "wrong_gpu":
            other = next(model for model in reversed(GPUS) if model.name != gpu.name)
            spec = replace(spec, gpu_name=other.product, gpu_ram=other.ram)
        elif fault == "low_vram":
            spec = replace(spec, gpu_ram=spec.gpu_ram // 2)
        elif fault == "old_driver":
            spec = replace(spec, driver_version=OLD_DRIVER[0], cuda_max_good=OLD_DRIVER[1])
    return spec
