"""The Pulumi dynamic provider of several equal machines. Its module path is part of every stack's state.

One resource, because the plugin has four worker threads and Vast.ai wants seconds between creates: fifty
machines as fifty resources would wait in line, where one gang rents them in one call and polls one list.
"""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import CheckResult, CreateResult, DiffResult, ReadResult, UpdateResult

from components.vast.provider import VastProvider, difference, failures, new_lease
from components.vast.status import Status


class GangProvider(VastProvider):
    """Several equal machines, all or none."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse a node that cannot be right, before a cent is spent."""
        return CheckResult(news, failures(olds, news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Replace all where one would be; make up a changed count or a lost machine in place."""
        machines = olds["machines"]
        result = difference(olds, news, {**machines[0], "status": str(Status.RUNNING)})
        lost = any(machine["status"] != Status.RUNNING for machine in machines)
        result.changes = result.changes or lost or len(machines) != news["count"]
        return result

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Rent all or none."""
        account = self.account(props)
        machines = account.acquire(props)
        props = {**props, "url": account.api.url, "machines": machines}
        return CreateResult(f"gang-{machines[0]['instance_id']}", props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Read the state of every machine; the gang is gone when all are."""
        machines = self.account(props).read_all(props)
        return ReadResult(id_, {**props, "machines": machines}) if machines else ReadResult("", {})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Change the machines in place, keep those that still verify, and rent what is missing."""
        account = self.account(olds)
        pinned = {int(machine["instance_id"]): machine["host_key"] for machine in olds["machines"]}
        for machine in olds["machines"]:
            account.change(machine, olds, news)
        machines = account.acquire(news, pinned)
        ran = {machine["instance_id"] for machine in olds["machines"] if machine["status"] == Status.RUNNING}
        for machine in machines:
            if new_lease(olds, news) or machine["instance_id"] not in ran:
                account.renew(machine, news, machine["price"])
        return UpdateResult({**olds, **news, "machines": machines})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Destroy all machines."""
        ids = [int(machine["instance_id"]) for machine in props["machines"]]
        self.account(props).release(ids, props)
