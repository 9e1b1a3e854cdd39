"""What a machine is made of: the contract between the market's contracts and the sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class MachineSpec:
    """Everything a machine needs to know to look like the offer that was rented.

    Attributes:
        contract_id: the instance id.
        image: docker image reference, e.g. `vastai/pytorch:2.7.1-cu128`.
        env: the create call's `env` object, variables and `-p`/`-h` flags alike.
        onstart: script contents, run once per container start.
        runtype: the wire value; SSH is served when it names `ssh`.
        gpu_name: what `nvidia-smi` reports, e.g. `NVIDIA A100-SXM4-80GB`.
        gpu_count: how many GPUs `nvidia-smi` lists.
        gpu_ram: MiB per GPU.
        driver_version: e.g. `570.124.04`.
        cuda_max_good: highest CUDA version of the driver, e.g. 12.8.
        cpu_cores: cores of the rented share.
        ram: MiB of the rented share.
        disk: GB of container disk.
        inet_down: Mbps from the internet to the machine.
        inet_up: Mbps from the machine to the internet.
        container_api_key: the instance-scoped key that the container sees as CONTAINER_API_KEY.
        faults: what is broken: `dead_ssh` (ports are mapped, nothing answers), `disk_full`.
    """

    contract_id: int
    image: str
    env: dict[str, str]
    onstart: str | None
    runtype: str
    gpu_name: str
    gpu_count: int
    gpu_ram: int
    driver_version: str
    cuda_max_good: float
    cpu_cores: int
    ram: int
    disk: float
    inet_down: float
    inet_up: float
    container_api_key: str = field(repr=False)
    faults: frozenset[str] = frozenset()


@dataclass
class Traffic:
    """Bytes that crossed the machine's network link since it was made: SSH, forwards, downloads."""

    down: int = 0
    up: int = 0


class Host(Protocol):
    """A machine as the contracts see it."""

    @property
    def traffic(self) -> Traffic:
        """What has crossed the network link up to now."""
        ...

    @property
    def ports(self) -> dict[str, int]:
        """Container port to public port, e.g. `{"22/tcp": 40123, "8188/tcp": 40124}`; empty while down."""
        ...

    @property
    def proxy_port(self) -> int:
        """Port of the SSH proxy endpoint; stays the same over stop and start."""
        ...

    async def start(self) -> None:
        """Boot the container: network, sshd on new random ports, onstart. Returns once sshd accepts."""
        ...

    async def stop(self) -> None:
        """Kill every process and close every port; the file tree stays."""
        ...

    async def destroy(self) -> None:
        """Stop, and remove the file tree."""
        ...

    def set_authorized_keys(self, keys: list[str]) -> None:
        """Rewrite authorized_keys, as the platform does; lines added from inside are lost."""
        ...

    def logs(self) -> str:
        """Return what the container has printed so far (entrypoint and onstart)."""
        ...
