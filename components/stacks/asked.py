"""What is to be paid for: a node that does some work, once or several times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.cost.images import image_gb
from components.cost.quote import digest
from components.cost.work import Work
from components.errors import SpecError
from components.spec.infer import InferJob
from components.spec.train import TrainJob
from components.vast.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.spec.budget import Budget
    from components.spec.load import Job
    from components.spec.machine import MachineJob
    from components.spec.node import Node
    from components.stacks.prepare import Prepared
    from components.stacks.serve import Ready


@dataclass(frozen=True)
class Asked:
    """`machines` times a node that does some work."""

    node: Node
    budget: Budget
    work: Work
    machines: int = 1

    @property
    def digest(self) -> str:
        """Identifies it."""
        return digest(self.node, self.budget, self.work, self.machines)

    @property
    def lease(self) -> dict[str, Any]:
        """What ends each machine when nobody looks, as JSON."""
        return Lease.of(self.budget, self.machines).model_dump(mode="json", exclude_defaults=True)

    def check_deadline(self, place: Callable[[str], str]) -> None:
        """Refuse a deadline that is past; `place` tells where a field of the job stands.

        Raises:
            SpecError: it is.
        """
        hours = self.budget.hours_until_deadline()
        if hours is not None and hours <= 0:
            raise SpecError(
                f"{place('budget.deadline')}budget.deadline: it was {-hours:.1f} h ago: set one that can be "
                "met; nothing is rented"
            )


def asked_by(job: Job, place: Callable[[str], str]) -> Asked:
    """Return what `job` asks for; it is checked as a preview does it.

    Raises:
        SpecError: the job cannot be right; one line a problem.
    """
    if isinstance(job, TrainJob):
        from components.stacks.prepare import prepare  # noqa: PLC0415 - only the job's own kind is loaded

        found = of_training(job, prepare(job, place))
    elif isinstance(job, InferJob):
        from components.stacks.serve import ready  # noqa: PLC0415 - likewise

        found = of_serving(job, ready(job, place))
    else:
        found = of_machine(job)
    found.check_deadline(place)
    return found


def of_training(job: TrainJob, prepared: Prepared) -> Asked:
    """Return what a training asks for."""
    from components.kohya.work import work  # noqa: PLC0415 - likewise

    return Asked(job.node, job.budget, work(job, prepared.settings, prepared.manifest))


def of_serving(job: InferJob, ready: Ready) -> Asked:
    """Return what serving asks for: on each machine, a port for the gateway too where it is public.

    Where one of them balances, all have a port for that: it may move without another machine.
    """
    from components.comfyui import balancer, gateway  # noqa: PLC0415 - likewise
    from components.comfyui.work import work  # noqa: PLC0415 - likewise

    ports = (gateway.PORT,) if job.gateway.expose == "tls" else ()
    if job.gateway.front:
        ports = (*ports, balancer.PORT)
    node = job.node.model_copy(update={"ports": (*job.node.ports, *ports)})
    uploaded = sum(path.stat().st_size for path in ready.uploads.values())
    return Asked(node, job.budget, work(job, uploaded), job.replicas)


def of_machine(job: MachineJob) -> Asked:
    """Return what a bare machine asks for: to be up."""
    hours, node = job.budget.up_hours, job.node
    return Asked(node, job.budget, Work(kind="up", hours=hours, disk=node.disk, image=image_gb(node.image)))
