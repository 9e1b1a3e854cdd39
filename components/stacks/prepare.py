"""A training job made ready: checked, filled in, refused or planned. Spends nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from components.dataset.check import summary
from components.dataset.declared import declared
from components.errors import SpecError
from components.home import output_folder
from components.kohya.derive import Settings, derive
from components.kohya.plan import Plan, plan
from components.kohya.refuse import refuse
from components.remote.manifest import Manifest, known_hashes, scan
from components.remote.store import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.spec.train import TrainJob

_T = TypeVar("_T")


@dataclass(frozen=True)
class Prepared:
    """A job that may be trained.

    Attributes:
        settings: with what was derived.
        plan: what is done on the machine.
        manifest: of a dataset on this computer; None where the machine fetches it.
        warnings: what a person should know, one line each.
        secrets: of this computer's environment, which the machine needs to fetch the dataset.
        bucket: likewise, to push what it saves.
    """

    settings: Settings
    plan: Plan
    manifest: Manifest | None
    warnings: tuple[str, ...]
    secrets: dict[str, str] = field(repr=False)
    bucket: dict[str, str] = field(repr=False)

    def home(self, stack: str) -> Path:
        """Return where everything of the run is kept: in FRAGUA_OUTPUT, or `output`, by stack."""
        return output_folder() / stack / self.plan.launch.run


def prepare(job: TrainJob, place: Callable[[str], str], *, token: bool = False) -> Prepared:
    """Check, derive, refuse and plan `job`.

    Args:
        job: the job.
        place: tells where a field of it stands, such as `configs/my.yaml:12: `.
        token: whether there is a token for Hugging Face; without one nothing but the fetching differs.

    Raises:
        SpecError: the job cannot be right; one line a problem.
    """
    secrets = _located(place, lambda: environment("dataset.rclone", job.dataset.rclone, os.environ))
    bucket = _located(place, lambda: environment("bucket", job.bucket, os.environ))
    dataset = declared(job)
    warnings: list[str] = []
    if dataset.report:
        if errors := dataset.report.errors:
            raise SpecError("\n".join(f"{place('dataset')}dataset: {line}" for line in summary(errors)))
        warnings += (f"dataset: {line}" for line in summary(dataset.report.warnings))
    manifest = scan(dataset.root, known=True) if dataset.root else None
    settings = _located(place, lambda: derive(job, dataset))
    warnings += refuse(job, settings, manifest.size / 1e9 if manifest else 0, place)
    local = [Path(job.base_model.local).expanduser()] if job.base_model.local else []
    planned = plan(
        job,
        settings,
        manifest.digest if manifest else _elsewhere(job),
        token=token,
        model_sha256="".join(known_hashes(local)),
    )
    return Prepared(settings, planned, manifest, tuple(warnings), secrets, bucket)


def _elsewhere(job: TrainJob) -> str:
    """Identify a dataset that the machine fetches; who may fetch it makes no other of it."""
    content = job.dataset.model_dump_json(exclude={"archive": {"token"}})
    return sha256(content.encode()).hexdigest()[:16]


def _located(place: Callable[[str], str], step: Callable[[], _T]) -> _T:
    """Do a step whose error begins with a field, and say where the field stands."""
    try:
        return step()
    except SpecError as error:
        raise SpecError(f"{place(str(error).partition(':')[0])}{error}") from None
