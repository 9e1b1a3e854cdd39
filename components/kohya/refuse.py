"""Whether a job can be trained as it is, said before anything is rented.

Pure, but for a look whether a base model that is to be here is here.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.errors import SpecError
from components.kohya.arguments import FIELDS, TAKEN, dataset_config, options, script
from components.kohya.install import EXTRAS
from components.kohya.memory import disk_gb
from components.kohya.names import PACKAGES, check_names
from components.kohya.options import check_extra
from components.kohya.problem import Problem, Severity, suggestion
from components.kohya.refusals import RULES, refusals
from components.spec import gpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from components.kohya.derive import Settings
    from components.spec.train import TrainJob

_IMPORTED: Final = {package: imported for imported, package in PACKAGES.items()}

_WEIGHTS: Final = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")

_WORDS: Final = {
    **{option: field for option, field in FIELDS.items() if "_" in option},
    "network_train_unet_only": "lora.text_encoders: false",
}
_OPTION: Final = re.compile(rf"(?<![\w.])({'|'.join(_WORDS)})(?!\w)")
"""An option of sd-scripts, in words, that a job file says by a field of another name."""


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
    found = [
        *_options(job, settings),
        *_install(job),
        *_packages(job),
        *_consents(job),
        *_base_model(job),
        *_disk(job, settings, dataset_gb),
        *_warmup(job, settings),
        *_samples(job, settings),
        *_weights(job),
    ]
    stopping, warnings = [], []
    for field, problem in found:
        said = _OPTION.sub(lambda match: _WORDS[match[0]], f"{problem.reason}; {problem.remedy}")
        words = f"{place(field)}{field}: {said}"
        if problem.severity is Severity.ERROR:
            stopping.append(words)
        elif problem.severity is Severity.WARNING or problem.rule in job.consent:
            warnings.append(words)
        else:
            stopping.append(f"{words}; or accept it: add {problem.rule} to `consent:`")
    warnings += gpus.doubts(job.node.gpu.models, place)
    if stopping:
        raise SpecError("\n".join(dict.fromkeys(stopping)))
    return list(dict.fromkeys(warnings))


def _options(job: TrainJob, settings: Settings) -> Iterator[tuple[str, Problem]]:
    trainer = script(job)
    wrong = {problem.option: problem for problem in check_extra(trainer, job.extra, TAKEN)}
    yield from ((f"extra.{name}", problem) for name, problem in wrong.items())
    extra = {name: value for name, value in job.extra.items() if name not in wrong}
    made = options(job.model_copy(update={"extra": extra}), settings)
    # they are set for each part of a run
    made |= {"output_dir": "output", "logging_dir": "logs"}
    if job.samples:
        made["sample_prompts"] = "prompts.txt"
    packages = {_IMPORTED.get(name, name) for name in job.packages}
    config = dataset_config(job, settings, "dataset")
    for problem in (
        *check_extra(trainer, made),
        *check_names(made, packages),
        *refusals(
            trainer,
            made,
            config,
            settings.shape.processes,
            interruptible=job.node.bid is not None,
            packages=packages,
            models=[name for model in job.node.gpu.models for name in gpus.names(model)],
        ),
    ):
        yield _field(problem, extra), problem


def _field(problem: Problem, extra: Mapping[str, Any]) -> str:
    """Return what to blame: the option, or one of `extra` that is spoken of, or the option's own field."""
    name = problem.option.rpartition(".")[2]
    words = [name, *re.findall(r"\w+", f"{problem.reason} {problem.remedy}")]
    added = next((word for word in words if word in extra), None)
    return f"extra.{added}" if added else FIELDS.get(name, f"extra.{name}")


def _install(job: TrainJob) -> Iterator[tuple[str, Problem]]:
    if job.install == "kohya-template" and "kohya" not in job.node.image:
        reason = (
            f"kohya-template is the environment of Vast.ai's Kohya image, and node.image is {job.node.image}"
        )
        yield (
            "install",
            Problem("install", reason, "set node.image to vastai/kohya:latest, or leave install out"),
        )


def _packages(job: TrainJob) -> Iterator[tuple[str, Problem]]:
    for name in job.packages:
        if name not in EXTRAS:
            reason = f"no version of {name!r} is known to fit sd-scripts"
            yield "packages", Problem(name, reason, suggestion(name, EXTRAS))


def _base_model(job: TrainJob) -> Iterator[tuple[str, Problem]]:
    if job.base_model.local and not (path := Path(job.base_model.local).expanduser()).is_file():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        reason = f"{path}: no such file{where}"
        yield "base_model.local", Problem("local", reason, "correct it, or take huggingface, url or path")


def _consents(job: TrainJob) -> Iterator[tuple[str, Problem]]:
    known = {rule.name for rule in RULES if rule.severity is Severity.CONSENT}
    for name in job.consent:
        if name not in known:
            yield "consent", Problem(name, f"there is no rule {name!r} to accept", suggestion(name, known))


def _disk(job: TrainJob, settings: Settings, dataset_gb: float) -> Iterator[tuple[str, Problem]]:
    saves = settings.epochs // settings.save_every
    pushed = int(job.bucket is not None)  # what is pushed is held meanwhile, though the trainer removes it
    kept = min(saves, (job.training.keep_last or saves) + pushed)
    states = settings.save_state * (1 + pushed)
    need = disk_gb(settings.shape, settings.images, dataset_gb, checkpoints=kept, states=states)
    if need > job.node.disk:
        yield (
            "node.disk",
            Problem(
                "disk",
                f"{job.node.disk:g} GB are less than the {math.ceil(need)} GB that the run needs for base "
                f"model, environment, dataset and {kept} checkpoints",
                f"ask for {math.ceil(need)} GB or more, or keep fewer by training.keep_last: all come home",
            ),
        )


def _warmup(job: TrainJob, settings: Settings) -> Iterator[tuple[str, Problem]]:
    if settings.steps and job.training.warmup_steps >= settings.steps:
        reason = f"the whole training has {settings.steps} steps, so that the rate never reaches its height"
        yield (
            "training.warmup_steps",
            Problem("lr_warmup_steps", reason, "take about a tenth of them", Severity.WARNING),
        )


def _samples(job: TrainJob, settings: Settings) -> Iterator[tuple[str, Problem]]:
    if job.samples and job.samples.every_epochs > settings.epochs:
        reason = f"the training has {settings.epochs} epochs, so that no image is ever drawn"
        yield (
            "samples.every_epochs",
            Problem("sample_every_n_epochs", reason, "take fewer", Severity.WARNING),
        )


def _weights(job: TrainJob) -> Iterator[tuple[str, Problem]]:
    for name, value in job.extra.items():
        if isinstance(value, str) and value.endswith(_WEIGHTS):
            reason = f"{value} is not brought to the machine"
            yield (
                f"extra.{name}",
                Problem(name, reason, "leave it out, unless its image has the file", Severity.WARNING),
            )
