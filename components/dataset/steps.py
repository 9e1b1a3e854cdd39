"""How many steps a dataset makes: sd-scripts' own counting of buckets, batches and epochs. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from components.dataset.buckets import Buckets
    from components.dataset.images import Image, Size, Subset


@dataclass(frozen=True)
class Estimate:
    """The steps of a training.

    Attributes:
        buckets: images with repeats by bucket, in the order of resolutions.
        train_images: images to train on, with repeats.
        reg_images: regularisation images, with the repeats that make them as many.
        batches_per_epoch: each bucket rounds up for itself.
        partial_batches: how many of these are not full.
        steps_per_epoch: optimizer steps: batches divided by processes and accumulation, rounded up.
        steps: of all epochs.
    """

    buckets: tuple[tuple[Size, int], ...]
    train_images: int
    reg_images: int
    batches_per_epoch: int
    partial_batches: int
    steps_per_epoch: int
    steps: int


def estimate(
    subsets: Iterable[Subset],
    buckets: Buckets,
    *,
    batch_size: int,
    epochs: int,
    accumulation: int = 1,
    processes: int = 1,
) -> Estimate:
    """Count the steps of training on `subsets`; images without a bucket are left out.

    Args:
        subsets: with their images; a folder that is named again is left out, as sd-scripts does.
        buckets: the bucketing.
        batch_size: images of one batch on one GPU.
        epochs: how often all of it is seen.
        accumulation: batches of one GPU for one step.
        processes: GPUs.
    """
    once = list({subset.path: subset for subset in reversed(list(subsets))}.values())[::-1]
    training = [(image, subset.repeats) for subset in once if not subset.is_reg for image in subset.images]
    train_images = sum(repeats for _, repeats in training)
    regularisation = _regularisation(
        [(image, subset.repeats) for subset in once if subset.is_reg for image in subset.images], train_images
    )
    sizes: Counter[Size] = Counter()
    for image, repeats in (*training, *regularisation):
        sizes[image.size] += repeats
    counts: Counter[Size] = Counter()
    for size, repeats in sizes.items():
        if place := buckets.place(size):
            counts[place.bucket] += repeats
    batches = sum(math.ceil(count / batch_size) for count in counts.values())
    steps_per_epoch = math.ceil(batches / processes / accumulation)
    return Estimate(
        buckets=tuple(sorted(counts.items())),
        train_images=train_images,
        reg_images=sum(repeats for _, repeats in regularisation),
        batches_per_epoch=batches,
        partial_batches=sum(1 for count in counts.values() if count % batch_size),
        steps_per_epoch=steps_per_epoch,
        steps=steps_per_epoch * epochs,
    )


def _regularisation(images: Sequence[tuple[Image, int]], wanted: int) -> list[tuple[Image, int]]:
    """Cut or repeat regularisation images until there are `wanted`, or a whole image's repeats more.

    First each image comes with its own repeats, as many images as are needed; then each in turn once more.
    """
    taken: list[tuple[Image, int]] = []
    count = 0
    for image, repeats in images:
        if count >= wanted:
            return taken
        taken.append((image, repeats))
        count += repeats
    if not taken or count >= wanted:
        return taken
    rounds, extra = divmod(wanted - count, len(taken))
    return [(image, repeats + rounds + (index < extra)) for index, (image, repeats) in enumerate(taken)]
