"""The dataset of a job: its subsets as declared or as its folder lies, checked where it is here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from components.dataset import images
from components.dataset.buckets import Buckets
from components.dataset.check import Report, check
from components.dataset.layout import discover, numbered
from components.spec.dataset import Captions, Subset

if TYPE_CHECKING:
    from components.dataset.problems import Problem
    from components.spec.dataset import Dataset
    from components.spec.train import TrainJob


@dataclass(frozen=True)
class Declared:
    """What is known of a job's dataset before anything is rented.

    Attributes:
        subsets: as the trainer will be told; repeats that may still be derived are 1.
        free: whether nobody said how often an epoch sees each image.
        report: what the check found; None where the node fetches the dataset.
        root: the dataset's folder here; None where the node fetches it.
    """

    subsets: tuple[Subset, ...]
    free: bool
    report: Report | None = None
    root: Path | None = None

    @property
    def count(self) -> int | None:
        """How many images there are to train on, each once; None where the node fetches the dataset."""
        if self.report is None:
            return None
        return sum(len(subset.images) for subset in self.report.subsets if not subset.is_reg)

    def read(self, subsets: tuple[Subset, ...]) -> list[images.Subset]:
        """Return the images that were found, with the repeats of `subsets`."""
        if self.report is None or self.root is None:
            return []
        repeats = {self.root / subset.folder: subset.repeats for subset in subsets}
        return [replace(each, repeats=repeats[each.path]) for each in self.report.subsets]


def declared(job: TrainJob) -> Declared:
    """Read and check the dataset of `job` where it is here; `report.errors` says what forbids to rent."""
    dataset = job.dataset
    if dataset.path is None:
        subsets = dataset.subsets or (_subset(dataset, "."),)
        return Declared(subsets, not dataset.subsets and dataset.repeats is None)
    root = Path(dataset.path).expanduser()
    before: tuple[Problem, ...] = ()
    named = False
    subsets = dataset.subsets
    if not subsets:
        layout = discover(
            root, class_tokens=dataset.class_tokens, caption_extension=dataset.caption_extension
        )
        before = layout.problems
        subsets = tuple(_found(dataset, root, subset) for subset in layout.subsets)
        named = any(each.path != root and numbered(each.path.name) is not None for each in layout.subsets)
    found = [
        images.Subset(
            path=root / subset.folder,
            repeats=subset.repeats,
            class_tokens=subset.class_tokens,
            is_reg=subset.regularisation,
            caption_extension=subset.caption_extension,
        )
        for subset in subsets
    ]
    free = not (named or dataset.subsets or dataset.repeats)
    return Declared(subsets, free, check(found, buckets(job), before), root)


def buckets(job: TrainJob) -> Buckets:
    """Return the bucketing of a job."""
    side, wanted = job.training.resolution, job.buckets
    return Buckets((side, side), wanted.enabled, wanted.min, wanted.max, wanted.step, wanted.no_upscale)


def _found(dataset: Dataset, root: Path, subset: images.Subset) -> Subset:
    in_root = subset.path == root or numbered(subset.path.name) is None
    repeats = (dataset.repeats or 1) if in_root and not subset.is_reg else subset.repeats
    folder = subset.path.relative_to(root).as_posix()
    return _subset(dataset, folder).model_copy(
        update={"repeats": repeats, "regularisation": subset.is_reg, "class_tokens": subset.class_tokens}
    )


def _subset(dataset: Dataset, folder: str) -> Subset:
    captions = {name: getattr(dataset, name) for name in Captions.model_fields}
    # a folder that is there is right whatever its name
    return Subset.model_construct(
        **captions, folder=folder, repeats=dataset.repeats or 1, regularisation=False
    )
