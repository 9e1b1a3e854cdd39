"""Whether a job can be trained as it is, said before anything is rented. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.errors import SpecError
from components.kohya.arguments import FIELDS, TAKEN, dataset_config, options, script
from components.kohya.memory import disk_gb
from components.kohya.names import check_names
from components.kohya.options import check_extra
from components.kohya.problem import Problem, Severity, suggestion
from components.kohya.refusals import RULES, refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from components.kohya.derive import Settings
    from components.spec.train import TrainJob

_IMPORTED = {"lycoris-lora": "lycoris"}
"""Packages that Python imports by another name."""


def refuse(job: TrainJob, settings: Settings, dataset_gb: float, place: Callable[[str], str]) -> list[str]:
    """Stop at what cannot be trained, and return what a person should know, one line each.

    Args:
        job: the job.
        settings: what follows from it.
        dataset_gb: of its files; 0 where the node fetches them.
        place: tells where a field stands, such as `configs/my.yaml:12: `.

    Raises:
        SpecError: one line a problem, with field and remedy.
    """
    found = [*_options(job, settings), *_consents(job), *_disk(job, settings, dataset_gb)]
    stopping, warnings = [], []
    for field, problem in found:
        words = f"{place(field)}{field}: {problem.reason}; {problem.remedy}"
        if problem.severity is Severity.WARNING or problem.rule in job.consent:
            warnings.append(words)
        elif problem.severity is Severity.CONSENT:
            stopping.append(f"{words}; or accept it: add {problem.rule} to `consent:`")
        else:
            stopping.append(words)
    if stopping:
        raise SpecError("\n".join(dict.fromkeys(stopping)))
    return list(dict.fromkeys(warnings))


def _options(job: TrainJob, settings: Settings) -> Iterator[tuple[str, Problem]]:
    trainer = script(job)
    if wrong := check_extra(trainer, job.extra, TAKEN):
        yield from ((f"extra.{problem.option}", problem) for problem in wrong)
        return
    made = options(job, settings)
    # they are set for each part of a run
    made |= {"output_dir": "output", "logging_dir": "logs"}
    if job.samples:
        made["sample_prompts"] = "prompts.txt"
    packages = {_IMPORTED.get(name, name) for name in job.packages}
    config = dataset_config(job, settings, "dataset")
    for problem in (
        *check_names(made, packages),
        *refusals(
            trainer,
            made,
            config,
            settings.shape.processes,
            interruptible=job.node.bid is not None,
            packages=packages,
        ),
    ):
        name = problem.option.rpartition(".")[2]
        yield (f"extra.{name}" if name in job.extra else FIELDS.get(name, f"extra.{name}")), problem


def _consents(job: TrainJob) -> Iterator[tuple[str, Problem]]:
    known = {rule.name for rule in RULES if rule.severity is Severity.CONSENT}
    for name in job.consent:
        if name not in known:
            yield "consent", Problem(name, f"there is no rule {name!r} to accept", suggestion(name, known))


def _disk(job: TrainJob, settings: Settings, dataset_gb: float) -> Iterator[tuple[str, Problem]]:
    saves = settings.epochs // settings.save_every
    kept = min(saves, job.training.keep_last or saves)
    need = disk_gb(
        settings.shape, settings.images, dataset_gb, checkpoints=kept, states=int(settings.save_state)
    )
    if need > job.node.disk:
        yield (
            "node.disk",
            Problem(
                "disk",
                f"{job.node.disk:g} GB are less than the {need:.0f} GB that the run needs for base model, "
                f"environment, dataset and {kept} checkpoints",
                f"ask for {need:.0f} GB or more, or set training.keep_last: all checkpoints come home anyway",
            ),
        )
