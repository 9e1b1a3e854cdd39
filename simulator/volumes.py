"""Local volumes: disks on one machine, billed until they are deleted. They cannot be mounted here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.ledger import nano
from simulator.offers import FIRST_VOLUME_ASK, disk_per_hour, driver_number

if TYPE_CHECKING:
    from simulator.fleet import Machine
    from simulator.ledger import Ledger
    from simulator.store import Store

KIND = "volume"
FIRST_ID = 20_118_481


class Volumes:
    """The account's volumes."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        """Work on what the store has."""
        self._store, self._ledger = store, ledger

    def every(self) -> list[dict[str, Any]]:
        """Return the volumes by id."""
        return [volume for _, volume in self._store.load(KIND)]

    def create(self, machine: Machine, size: float, name: str | None, at: float) -> dict[str, Any]:
        """Make a volume of `size` GB and start to bill it."""
        number = self._store.next_id(KIND, FIRST_ID)
        hourly = disk_per_hour(machine.storage_cost, size)
        volume: dict[str, Any] = {
            "id": number,
            "label": name,
            "status": "created",
            "disk_space": size,
            "machine_id": machine.machine_id,
            "host_id": machine.host_id,
            "instances": [],
            "start_date": at,
            "storage_cost": machine.storage_cost,
            "dph": round(hourly, 6),
            "verification": machine.verification,
            "geolocation": machine.geolocation,
        }
        self._store.save(KIND, number, volume)
        self._ledger.open(number, KIND, at, nano(hourly))
        return volume

    def delete(self, number: int, at: float) -> bool:
        """Delete a volume; False if there is none."""
        if all(volume["id"] != number for volume in self.every()):
            return False
        self._ledger.close(number, KIND, at)
        self._store.delete(KIND, number)
        return True


def describe_volume_offer(machine: Machine, now: float, storage: float) -> dict[str, Any]:
    """Return the volume offer of a machine, priced for `storage` GB."""
    return {
        "id": FIRST_VOLUME_ASK + machine.index,
        "machine_id": machine.machine_id,
        "host_id": machine.host_id,
        "disk_space": round(machine.disk_space * 0.5, 1),
        "disk_bw": machine.disk_bw,
        "disk_name": machine.disk_name,
        "storage_cost": machine.storage_cost,
        "storage_total_cost": round(disk_per_hour(machine.storage_cost, storage), 6),
        "cuda_max_good": machine.cuda_max_good,
        "cpu_ghz": machine.cpu_ghz,
        "driver_version": machine.driver_version,
        "driver_vers": driver_number(machine.driver_version),
        "inet_up": machine.inet_up,
        "inet_down": machine.inet_down,
        "reliability": machine.reliability,
        "reliability2": machine.reliability,
        "verification": machine.verification,
        "verified": machine.verification == "verified",
        "external": False,
        "hosting_type": machine.hosting_type,
        "geolocation": machine.geolocation,
        "static_ip": machine.static_ip,
        "duration": machine.days_left * 86400,
        "end_date": now + machine.days_left * 86400,
        "score": round(machine.reliability / machine.storage_cost, 3),
    }
