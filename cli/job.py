"""What is known of a job before anything is rented."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.errors import SpecError
from components.kohya.memory import checkpoint_gb, state_gb, vram_gb
from components.spec import gpus
from components.spec.infer import InferJob
from components.spec.load import placed
from components.spec.tokens import named, variable
from components.spec.train import TrainJob
from components.stacks import serve
from components.stacks.asked import of_machine, of_serving, of_training
from components.stacks.prepare import Prepared, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from components.spec.load import Job


def ready(path: Path) -> tuple[TrainJob, Prepared]:
    """Return the training job in that file, and what follows from it.

    Raises:
        SpecError: it is none, or cannot be right; one line a problem.
    """
    job, place = placed(path)
    if not isinstance(job, TrainJob):
        raise SpecError(f"{path}: kind {job.kind} is no training")
    return job, prepare(job, place)


def run(path: Path) -> None:
    """Print what would be trained, served or rented, what was derived, and what to know.

    Raises:
        SpecError: the job cannot be right; one line a problem.
    """
    job, place = placed(path)
    console = Console(highlight=False, soft_wrap=True)
    warnings: Iterable[str]
    if isinstance(job, InferJob):
        served = serve.ready(job, place)
        _serving(console, job, served)
        asked, warnings, what = of_serving(job, served), served.warnings, "served"
    elif isinstance(job, TrainJob):
        prepared = prepare(job, place)
        _training(console, prepared)
        asked, warnings, what = of_training(job, prepared), prepared.warnings, "trained"
    else:
        asked, warnings, what = of_machine(job), gpus.doubts(job.node.gpu.models, place), "rented"
    asked.check_deadline(place)
    for warning in (*warnings, *_away(job, place)):
        console.print(Text(f"warning: {warning}", style="yellow"))
    console.print(Text(f"it can be {what}", style="green"))


def _away(job: Job, place: Callable[[str], str]) -> Iterator[str]:
    """Yield which tokens only a stack can have, of which nothing is known here."""
    for field, name in named(job).items():
        if not os.environ.get(variable(name)):
            yield f"{place(field)}{field}: {variable(name)} is not set here: the stack must have {name}:token"


def _serving(console: Console, job: InferJob, found: serve.Ready) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for model in found.plan.models:
        table.add_row(model.key, model.link)
    table.add_row("workflows", ", ".join(found.plan.workflows))
    table.add_row("tokens", ", ".join(job.gateway.tokens))
    table.add_row("machines", str(job.replicas))
    console.print(table)


def _training(console: Console, found: Prepared) -> None:
    settings, launch = found.settings, found.plan.launch
    table = Table(box=None, show_header=False, pad_edge=False)
    dataset = (
        f"{settings.images} images, {found.manifest.size / 1e6:.1f} MB" if found.manifest else "fetched there"
    )
    table.add_row("run", launch.run)
    table.add_row("dataset", dataset)
    table.add_row(
        "training", f"{settings.epochs} epochs, {settings.steps or 'unknown'} steps, {launch.script}"
    )
    table.add_row("VRAM", f"about {vram_gb(settings.shape):.0f} GB")
    states = f", states of {state_gb(settings.shape):.1f} GB" if settings.save_state else ""
    table.add_row("checkpoints", f"{checkpoint_gb(settings.shape):.2f} GB each{states}")
    if launch.bucket:
        table.add_row("bucket", launch.bucket)
    console.print(table)
    for note in settings.notes:
        console.print(Text(f"derived: {note}"))
