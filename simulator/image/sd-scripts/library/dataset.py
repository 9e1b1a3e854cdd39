"""The images of a training: found, captioned, repeated, put into buckets and cut into batches."""

from __future__ import annotations

import glob
import json
import math
import os
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from library import images
from library.buckets import Buckets, Size
from library.console import Failure, log, refuse
from library.progress import bar

if TYPE_CHECKING:
    from library.dataset_config import DatasetSettings

_INTERPOLATIONS = {"lanczos", "lanczos4", "nearest", "bilinear", "linear", "bicubic", "cubic", "area", "box"}
_SHOWN_MISSING = 5


@dataclass
class Image:
    """One image file with its caption; `bucket` in pixels once it has one."""

    path: str
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


def load(
    settings: DatasetSettings, seed: int, *, size_cache_suffix: str | None, validation: bool = False
) -> Dataset:
    """Find the images of a dataset and their captions.

    Args:
        settings: its settings and those of its subsets.
        seed: of the split into training and validation.
        size_cache_suffix: how cached latents end, where sizes are taken from their names.
        validation: take the part that is kept out of training.

    Raises:
        Failure: impossible settings, an empty caption, one that is no UTF-8.
    """
    values = dict(settings.values)
    if values["resize_interpolation"] is not None and values["resize_interpolation"] not in _INTERPOLATIONS:
        refuse("interpolation", value=values["resize_interpolation"])
    if values["resolution"] is None:
        refuse("resolution")
    if values["enable_bucket"]:
        _round_bucket_sides(values)
    dataset = Dataset(values, validation)
    log("prepare_images")
    regularisation: list[Image] = []
    for given in settings.subsets:
        subset = Subset(given)
        folder, repeats = given["image_dir"], 1 if validation else given["num_repeats"]
        if repeats < 1:
            log("few_repeats", folder=folder, repeats=repeats)
            continue
        if any(
            folder == other.image_dir and given["metadata_file"] == other.metadata_file
            for other in dataset.subsets
        ):
            log("duplicate_subset", folder=folder)
            continue
        found = _read_folder(dataset, subset, seed, size_cache_suffix)
        if not found:
            log("no_images", folder=folder)
            continue
        for image in found:
            image.repeats = repeats
        subset.count = len(found)
        dataset.subsets.append(subset)
        if subset.is_reg:
            dataset.reg_images += repeats * len(found)
            regularisation += found
        else:
            dataset.train_images += repeats * len(found)
            dataset.images += found
    _add_regularisation(dataset, regularisation)
    return dataset


def make_buckets(dataset: Dataset) -> None:
    """Read the sizes and put each image into its bucket.

    Raises:
        Failure: an image without a size.
    """
    values = dataset.settings
    log("image_sizes")
    for image in bar(dataset.images, len(dataset.images)):
        if image.size is None:
            image.size = images.size(image.path)
            if image.size is None:
                log("image_size_failed", path=image.path)
    log("make_buckets" if values["enable_bucket"] else "one_bucket")
    if values["enable_bucket"]:
        buckets = Buckets(
            values["resolution"],
            values["min_bucket_reso"],
            values["max_bucket_reso"],
            values["bucket_reso_steps"],
            no_upscale=values["bucket_no_upscale"],
        )
        if values["bucket_no_upscale"]:
            log("no_upscale")
    else:
        buckets = Buckets.single(values["resolution"])
    counts: dict[Size, int] = {}
    errors = []
    for image in dataset.images:
        if image.size is None:
            raise Failure("ZeroDivisionError", "division by zero")
        image.bucket, error = buckets.select(image.size)
        errors.append(abs(error))
        counts[image.bucket] = counts.get(image.bucket, 0) + image.repeats
    dataset.counts = dict(sorted(counts.items()))
    dataset.mean_ar_error = sum(errors) / len(errors) if errors else 0.0
    if values["enable_bucket"]:
        log("bucket_counts")
        for index, (bucket, count) in enumerate(dataset.counts.items()):
            log("bucket", index=index, resolution=bucket, count=count)
        log("ar_error", error=dataset.mean_ar_error)


def _round_bucket_sides(values: dict[str, Any]) -> None:
    step, least, most = values["bucket_reso_steps"], values["min_bucket_reso"], values["max_bucket_reso"]
    if least % step:
        values["min_bucket_reso"] = least - least % step
        log("min_reso_adjusted", old=least, new=values["min_bucket_reso"])
    if most % step:
        values["max_bucket_reso"] = most + step - most % step
        log("max_reso_adjusted", old=most, new=values["max_bucket_reso"])
    if min(values["resolution"]) < values["min_bucket_reso"]:
        refuse("min_bucket_reso")
    if max(values["resolution"]) > values["max_bucket_reso"]:
        refuse("max_bucket_reso")


def _read_folder(dataset: Dataset, subset: Subset, seed: int, size_cache_suffix: str | None) -> list[Image]:
    if subset.metadata_file is not None:
        return _read_metadata(dataset, subset)
    folder = subset.image_dir
    if not os.path.isdir(folder):
        log("not_directory", folder=folder)
        return []
    pattern = os.path.join(glob.escape(folder), "*")
    paths = sorted({path for suffix in images.SUFFIXES for path in glob.glob(pattern + suffix)})
    found = [Image(path, "", subset, 1) for path in paths]
    if size_cache_suffix:
        _sizes_from_caches(found, size_cache_suffix)
    split = dataset.settings["validation_split"]
    if split > 0:
        found = _split(found, split, seed, validation=dataset.validation, is_reg=subset.is_reg)
    log("found_directory", folder=folder, count=len(found))
    missing = []
    for image in bar(found, len(found), "read caption"):
        caption = _caption(image.path, subset)
        if caption is None:
            missing.append(image.path)
            if subset.class_tokens is None:
                log("no_caption", path=image.path)
            caption = subset.class_tokens or ""
        image.caption = caption
    _count_tags(dataset, os.path.basename(folder), [image.caption for image in found])
    if missing:
        log("captions_missing", count=len(missing))
        for index, path in enumerate(missing):
            if index >= _SHOWN_MISSING:
                log("captions_missing_more", path=path, count=len(missing) - _SHOWN_MISSING)
                break
            log("caption_missing", path=path)
    return found


def _read_metadata(dataset: Dataset, subset: Subset) -> list[Image]:
    path = subset.metadata_file
    if not os.path.exists(path):
        refuse("no_metadata", path=path)
    log("metadata_loading", path=path)
    with open(path, encoding="utf-8") as file:
        entries: dict[str, dict[str, Any]] = json.load(file)
    found = []
    for key, entry in entries.items():
        text = entry.get("caption") or ""
        if entry.get("tags"):
            text += (subset.caption_separator if text else "") + entry["tags"]
        size = tuple(entry["image_size"]) if entry.get("image_size") else None
        found.append(Image(os.path.join(subset.image_dir or "", key), text, subset, 1, size))
    _count_tags(
        dataset, os.path.basename(path), [entry["tags"] for entry in entries.values() if entry.get("tags")]
    )
    return found


def _caption(path: str, subset: Subset) -> str | None:
    base = os.path.splitext(path)[0]
    tokens = base.split("_")
    bases = [base, "_".join(tokens[:-4])] if len(tokens) >= 5 else [base]
    for candidate in bases:
        name = candidate + subset.caption_extension
        if not os.path.isfile(name):
            continue
        try:
            with open(name, encoding="utf-8") as file:
                lines = file.readlines()
        except UnicodeDecodeError as error:
            log("not_utf8", path=name)
            raise Failure("UnicodeDecodeError", str(error)) from None
        if not lines:
            refuse("empty_caption", path=name)
        if subset.enable_wildcard:
            return "\n".join(line.strip() for line in lines if line.strip())
        return lines[0].strip()
    return None


def _sizes_from_caches(found: list[Image], suffix: str) -> None:
    """Take sizes from names like `cat_1024x0768_sdxl.npz`, as the trainer does to save reading."""
    log("sizes_from_caches")
    count = 0
    for image in bar(found, len(found)):
        base = os.path.splitext(image.path)[0]
        for cache in glob.glob(glob.escape(base) + "_*" + suffix):
            width, _, height = cache.removesuffix(suffix).rsplit("_", 1)[-1].partition("x")
            if width.isdigit() and height.isdigit():
                image.size = (int(width), int(height))
                count += 1
                break
    log("sizes_set", count=count, total=len(found))


def _split(found: list[Image], share: float, seed: int, *, validation: bool, is_reg: bool) -> list[Image]:
    if is_reg:
        return [] if validation else found
    shuffled = found[:]
    random.Random(seed).shuffle(shuffled)
    if validation:
        return shuffled[len(found) - round(len(found) * share) :]
    return shuffled[: math.ceil(len(found) * (1 - share))]


def _add_regularisation(dataset: Dataset, regularisation: list[Image]) -> None:
    """Repeat or cut the regularisation images until there are as many as training images."""
    split = "validation" if dataset.validation else "train"
    log("train_images", count=dataset.train_images, split=split)
    log("reg_images", count=dataset.reg_images)
    if dataset.train_images < dataset.reg_images:
        log("reg_unused")
    if not dataset.reg_images:
        log("no_reg")
        return
    count, first = 0, True
    while count < dataset.train_images:
        for image in regularisation:
            if first:
                dataset.images.append(image)
                count += image.repeats
            else:
                image.repeats += 1
                count += 1
            if count >= dataset.train_images:
                break
        first = False


def _count_tags(dataset: Dataset, folder: str, captions: list[str]) -> None:
    frequency = dataset.tag_frequency.setdefault(folder, {})
    for caption in captions:
        for tag in caption.split(","):
            if word := tag.strip().lower():
                frequency[word] = frequency.get(word, 0) + 1
