"""Datasets from their settings: subsets read, regularisation matched, images put into buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from library import folders, images
from library.buckets import Buckets
from library.console import Failure, log, refuse
from library.dataset import Dataset, Subset
from library.progress import bar

if TYPE_CHECKING:
    from library.buckets import Size
    from library.dataset import Image
    from library.dataset_config import DatasetSettings

_INTERPOLATIONS = {None, "lanczos", "nearest", "bilinear", "linear", "bicubic", "cubic", "area", "box"}


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
    if values["resize_interpolation"] not in _INTERPOLATIONS:
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
        found = folders.read(dataset, subset, seed, size_cache_suffix)
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
