"""What is known of a job before anything is rented."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.errors import SpecError
from components.kohya.memory import checkpoint_gb, state_gb, vram_gb
from components.spec.infer import InferJob
from components.spec.load import placed
from components.spec.train import TrainJob
from components.stacks import serve
from components.stacks.prepare import Prepared, prepare

if TYPE_CHECKING:
    from pathlib import Path


def ready(path: Path) -> tuple[TrainJob, Prepared]:
    """Return the training job in that file, and what follows from it.

    Raises:
        SpecError: it is none, or cannot be right; one line a problem.
    """
    job, place = placed(path)
    if not isinstance(job, TrainJob):
        raise SpecError(f"{path}: kind {job.kind} is no training")
    return job, prepare(job, place, token=bool(os.environ.get("HF_TOKEN")))


def run(path: Path) -> None:
    """Print what would be trained or served, what was derived, and what to know.

    Raises:
        SpecError: the job cannot be right; one line a problem.
    """
    job, place = placed(path)
    console = Console(highlight=False, soft_wrap=True)
    if isinstance(job, InferJob):
        _serving(console, job, serve.ready(job, place, token=bool(os.environ.get("HF_TOKEN"))))
    else:
        _training(console, path)


def _serving(console: Console, job: InferJob, found: serve.Ready) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for model in found.plan.models:
        table.add_row(model.key, model.link)
    table.add_row("workflows", ", ".join(found.plan.workflows))
    table.add_row("tokens", ", ".join(job.gateway.tokens))
    table.add_row("machines", str(job.replicas))
    console.print(table)
    for warning in found.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    console.print(Text("it can be served", style="green"))


def _training(console: Console, path: Path) -> None:
    _, found = ready(path)
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
    console.print(table)
    for note in settings.notes:
        console.print(Text(f"derived: {note}"))
    for warning in found.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
    console.print(Text("it can be trained", style="green"))
