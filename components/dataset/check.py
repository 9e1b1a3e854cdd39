"""The whole check of a dataset: every image decoded, every caption read, and what is wrong told as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from components.dataset import captions, duplicates, listing, looks, pixels
from components.dataset.layout import unreadable
from components.dataset.problems import (
    ONLY_REGULARISATION,
    REPEATED_FOLDER,
    SURPLUS_REGULARISATION,
    Problem,
    Severity,
)
from components.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from components.dataset.buckets import Buckets
    from components.dataset.images import Image, Subset
    from components.dataset.listing import Listing

_SHOWN: Final = 5


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        subsets: with the images that can be read.
        problems: in the order of folders.
    """

    subsets: tuple[Subset, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> list[Problem]:
        """What forbids renting for this dataset."""
        return [problem for problem in self.problems if problem.kind.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Problem]:
        """What should be looked at."""
        return [problem for problem in self.problems if problem.kind.severity is Severity.WARNING]

    def refuse(self) -> None:
        """Stop at errors.

        Raises:
            SpecError: one line an error, at most five of a kind.
        """
        if self.errors:
            raise SpecError("\n".join(f"dataset: {line}" for line in summary(self.errors)))


def summary(problems: Iterable[Problem], most: int = _SHOWN) -> list[str]:
    """Return one line for each problem, `most` of a kind, and how many more there are."""
    kept: list[str] = []
    counts: Counter[str] = Counter()
    for problem in problems:
        counts[problem.kind.name] += 1
        if counts[problem.kind.name] <= most:
            kept.append(str(problem))
    return kept + [f"{count - most} more of {name}" for name, count in counts.items() if count > most]


def check(subsets: Sequence[Subset], buckets: Buckets, before: Iterable[Problem] = ()) -> Report:
    """Check `subsets` for training in `buckets`.

    Args:
        subsets: as declared; their images are read here.
        buckets: the bucketing of the training.
        before: problems already known, from `layout.discover`.
    """
    problems = list(before)
    found: list[Subset] = []
    seen: set[Path] = set()
    paths = [subset.path for subset in subsets]
    for subset in subsets:
        place = subset.path.resolve()
        if place in seen:
            problems.append(Problem(REPEATED_FOLDER, subset.path, "is named by two subsets"))
        elif problem := unreadable(subset.path):
            problems.append(problem)
        else:
            files = listing.read(subset, paths)
            images, wrong = _read(subset, files)
            found.append(replace(subset, images=tuple(images)))
            problems += [*files.problems, *wrong]
            problems += chain.from_iterable(looks.check(image, buckets) for image in images)
        seen.add(place)
    problems += duplicates.find([image for subset in found for image in subset.images])
    problems += _balance(found)
    return Report(tuple(found), tuple(problems))


def _read(subset: Subset, files: Listing) -> tuple[list[Image], list[Problem]]:
    images: list[Image] = []
    problems: list[Problem] = []
    for path, found in zip(files.images, pixels.read_all(files.images), strict=True):
        name = captions.caption_name(path.name, subset.caption_extension, files.names)
        caption, wrong = captions.read(subset.path / name) if name else (None, [])
        if isinstance(found, Problem):
            problems.append(found)
        else:
            images.append(replace(found, caption=caption))
        problems += wrong
    return images, problems


def _balance(subsets: Sequence[Subset]) -> Iterator[Problem]:
    training = sum(subset.repeats * len(subset.images) for subset in subsets if not subset.is_reg)
    regularisation = [subset for subset in subsets if subset.is_reg and subset.images]
    count = sum(subset.repeats * len(subset.images) for subset in regularisation)
    if regularisation and not training:
        yield Problem(ONLY_REGULARISATION, regularisation[0].path, "holds only regularisation images")
    elif count > training:
        words = f"brings regularisation images to {count} with repeats, for {training} to train on"
        yield Problem(SURPLUS_REGULARISATION, regularisation[-1].path, words)
