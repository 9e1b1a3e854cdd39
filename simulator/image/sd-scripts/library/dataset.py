"""The images of a training: files with captions and repeats, by subset and bucket."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from library.buckets import Size


@dataclass
class Image:
    """One image file with its caption; `bucket` in pixels once it has one."""

    path: Path
    caption: str
    subset: Subset
    repeats: int
    size: Size | None = None
    bucket: Size = (0, 0)


@dataclass
class Subset:
    """One folder of images: its settings, and how many it holds."""

    settings: dict[str, Any]
    count: int = 0

    def __getattr__(self, name: str) -> Any:
        """Return a setting."""
        return self.settings[name]

    @property
    def caches_captions(self) -> bool:
        """Whether its captions are the same in every step, so that their encodings can be kept."""
        return not (
            self.caption_dropout_rate > 0
            or self.shuffle_caption
            or self.token_warmup_step > 0
            or self.caption_tag_dropout_rate > 0
        )


@dataclass
class Dataset:
    """The images of one `[[datasets]]`.

    Attributes:
        settings: its values, bucket sides rounded to the step.
        subsets: those that hold images.
        images: each file once.
        counts: images with repeats by bucket, in the order of the buckets.
        train_images: images of training with repeats.
        reg_images: regularisation images with repeats, before they are cut or repeated to match.
        tag_frequency: caption tags by folder.
    """

    settings: dict[str, Any]
    validation: bool
    subsets: list[Subset] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    counts: dict[Size, int] = field(default_factory=dict)
    train_images: int = 0
    reg_images: int = 0
    mean_ar_error: float = 0.0
    tag_frequency: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def batches(self) -> int:
        """Batches of one epoch."""
        return sum(math.ceil(count / self.settings["batch_size"]) for count in self.counts.values())

    def schedule(self, rng: random.Random) -> list[tuple[Size, int]]:
        """Return the batches of an epoch in random order: resolution and images of each."""
        size = self.settings["batch_size"]
        order = [
            (bucket, min(size, count - start))
            for bucket, count in self.counts.items()
            for start in range(0, count, size)
        ]
        rng.shuffle(order)
        return order
