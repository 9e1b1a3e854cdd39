"""What is to be paid for, and its price on the market of this moment: for programs and for commands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.cost import quote as quotes
from components.cost.images import image_gb
from components.cost.purchase import Purchase
from components.cost.work import Work
from components.record.experience import read_experience
from components.spec.infer import InferJob
from components.spec.train import TrainJob
from components.vast.lease import Lease
from components.vast.unmet import nothing_fits

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.cost.quote import Quote
    from components.spec.budget import Budget
    from components.spec.load import Job
    from components.spec.machine import MachineJob
    from components.spec.node import Node
    from components.stacks.lock import Lock
    from components.stacks.prepare import Prepared
    from components.stacks.serve import Ready
    from components.vast.market import Market
    from components.vast.offers import Ranking


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
        return quotes.digest(self.node, self.budget, self.work, self.machines)

    @property
    def lease(self) -> dict[str, Any]:
        """What ends each machine when nobody looks, as JSON."""
        return Lease.of(self.budget, self.machines).model_dump(mode="json", exclude_defaults=True)


def asked_by(job: Job, place: Callable[[str], str]) -> Asked:
    """Return what `job` asks for; it is checked as a preview does it.

    Raises:
        SpecError: the job cannot be right; one line a problem.
    """
    token = bool(os.environ.get("HF_TOKEN"))
    if isinstance(job, TrainJob):
        from components.stacks.prepare import prepare  # noqa: PLC0415 - only the job's own kind is loaded

        return of_training(job, prepare(job, place, token=token))
    if isinstance(job, InferJob):
        from components.stacks.serve import ready  # noqa: PLC0415 - likewise

        return of_serving(job, ready(job, place, token=token))
    return of_machine(job)


def of_training(job: TrainJob, prepared: Prepared) -> Asked:
    """Return what a training asks for."""
    from components.kohya.work import work  # noqa: PLC0415 - likewise

    return Asked(job.node, job.budget, work(job, prepared.settings, prepared.manifest))


def of_serving(job: InferJob, ready: Ready) -> Asked:
    """Return what serving asks for: on each machine, a port for the gateway too where it is public."""
    from components.comfyui import gateway  # noqa: PLC0415 - likewise
    from components.comfyui.work import work  # noqa: PLC0415 - likewise

    ports = (gateway.PORT,) if job.gateway.expose == "tls" else ()
    node = job.node.model_copy(update={"ports": (*job.node.ports, *ports)})
    uploaded = sum(path.stat().st_size for path in ready.uploads.values())
    return Asked(node, job.budget, work(job, uploaded), job.replicas)


def of_machine(job: MachineJob) -> Asked:
    """Return what a bare machine asks for: to be up."""
    hours, node = job.budget.up_hours, job.node
    return Asked(node, job.budget, Work(kind="up", hours=hours, disk=node.disk, image=image_gb(node.image)))


def ranked(
    asked: Asked,
    config: Callable[[str], str | None] = lambda _: None,
    lock: Lock | None = None,
    newer_than: float = 0,
) -> tuple[Ranking, Market]:
    """Look at the market, by at most one call, and rank what may be rented, budget.max_total apart.

    Args:
        asked: what is to be rented.
        config: reads the stack's config, such as `vast:apiKey`.
        lock: the only classes that may be rented.
        newer_than: epoch seconds; what is known of the market from before is asked anew.
    """
    from components.vast import market, offers  # noqa: PLC0415 - an unchanged stack needs no HTTP

    seen = market.look(asked.node, config, newer_than)
    purchase = Purchase(
        work=asked.work,
        hours=asked.budget.hours_until_deadline(),
        classes=lock.classes if lock else (),
        experience=read_experience(seen.url),
    )
    return offers.rank(seen.offers, asked.node, purchase, seen.bad_machines), seen


def quoted(
    asked: Asked,
    ranking: Ranking,
    seen: Market,
    lock: Lock | None = None,
    running: float = 0,
    before: float = 0,
) -> Quote:
    """Return the quote of `asked` on the market that was `seen`; see `components.cost.quote.quote`."""
    found = [(choice.terms, choice.estimate) for choice in ranking.choices]
    notes = [seen.problem] if seen.problem else []
    if seen.source == "preset":
        found = quotes.bound(asked.node, asked.work, read_experience(seen.url))
    elif not found:
        notes.append(str(nothing_fits(ranking)))
    return quotes.quote(
        found,
        asked.budget,
        asked.work,
        digest=asked.digest,
        when=seen.when,
        source=seen.source,
        machines=asked.machines,
        locked=lock.max_total if lock else None,
        running=running,
        before=before,
        notes=notes,
    )
