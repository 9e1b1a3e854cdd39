"""What a dataset configuration leads to that its schema lets pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from components.kohya.dataset_config import given
from components.kohya.rules.situation import WARNING, Rule, Situation

if TYPE_CHECKING:
    from types import SimpleNamespace


def _sides(values: SimpleNamespace) -> tuple[int, int]:
    """Return the shorter and the longer side of the resolution."""
    sides = values.resolution
    return (min(sides), max(sides)) if isinstance(sides, list | tuple) else (sides, sides)


def _bucketed(s: Situation) -> list[SimpleNamespace]:
    sound = [
        each.values for each in s.datasets if each.values.resolution and each.values.bucket_reso_steps > 0
    ]
    return [values for values in sound if values.enable_bucket]


def _above(values: SimpleNamespace) -> bool:
    """Tell whether the resolution is above the largest bucket, rounded up to the step as sd-scripts does."""
    step = values.bucket_reso_steps
    return bool(_sides(values)[1] > -(-values.max_bucket_reso // step) * step)


def _below(values: SimpleNamespace) -> bool:
    step = values.bucket_reso_steps
    return bool(_sides(values)[0] < values.min_bucket_reso // step * step)


def _repeated(subsets: tuple[SimpleNamespace, ...]) -> bool:
    folders = [each.image_dir for each in subsets if each.image_dir and not each.metadata_file]
    return len(set(folders)) < len(folders)


def _mixed(subsets: tuple[SimpleNamespace, ...]) -> bool:
    return len({each.metadata_file is None for each in subsets}) > 1


def _trains_on_nothing(s: Situation) -> bool:
    return not s.datasets or not all(
        any(not subset.is_reg for subset in dataset.subsets) for dataset in s.datasets
    )


def _regularised(s: Situation) -> Any:
    return any(each.is_reg for each in s.subsets)


DATASET: Final = (
    Rule(
        "no-training-images",
        "datasets",
        _trains_on_nothing,
        "a dataset without a subset to train on ends with exit code 0 and makes nothing",
        "give each dataset a subset that is not is_reg",
    ),
    Rule(
        "no-folder",
        "image_dir",
        lambda s: any(not each.image_dir and not each.metadata_file for each in s.subsets),
        "a subset names neither a folder of images nor a file of metadata",
        "set image_dir",
    ),
    Rule(
        "mixed-subsets",
        "metadata_file",
        lambda s: any(_mixed(dataset.subsets) for dataset in s.datasets),
        "subsets with and without metadata_file cannot be in one dataset",
        "split them into two datasets",
    ),
    Rule(
        "repeated-folder",
        "image_dir",
        lambda s: any(_repeated(dataset.subsets) for dataset in s.datasets),
        "of two subsets with the same folder sd-scripts takes only the first",
        "keep one and give it more num_repeats",
    ),
    Rule(
        "no-resolution",
        "resolution",
        lambda s: any(not each.values.resolution for each in s.datasets),
        "a dataset has no resolution",
        "set it, to 1024 for SDXL",
    ),
    Rule(
        "bucket-step",
        "bucket_reso_steps",
        lambda s: (
            any(each.values.enable_bucket and each.values.bucket_reso_steps % 32 for each in s.datasets)
            or any(each.values.bucket_reso_steps < 1 for each in s.datasets)
        ),
        "SDXL's buckets need sides that are multiples of 32",
        "set 64 or 32",
    ),
    Rule(
        "bucket-below-resolution",
        "max_bucket_reso",
        lambda s: any(map(_above, _bucketed(s))),
        "the resolution is above max_bucket_reso, which is 1024 where it is not set",
        "raise max_bucket_reso",
    ),
    Rule(
        "bucket-above-resolution",
        "min_bucket_reso",
        lambda s: any(map(_below, _bucketed(s))),
        "the resolution is below min_bucket_reso",
        "lower min_bucket_reso",
    ),
    Rule(
        "no-repeats",
        "num_repeats",
        lambda s: any(each.num_repeats < 1 for each in s.subsets),
        "a subset with less than one repeat is left out",
        "set 1 or more",
    ),
    Rule(
        "no-batch",
        "batch_size",
        lambda s: any(each.values.batch_size < 1 for each in s.datasets),
        "a batch needs an image",
        "set 1 or more",
    ),
    Rule(
        "buckets-without-bounds",
        "bucket_no_upscale",
        lambda s: (
            any(values.bucket_no_upscale for values in _bucketed(s))
            and (given(s.config, "min_bucket_reso") or given(s.config, "max_bucket_reso"))
        ),
        "images that are never enlarged make their own buckets, without min_bucket_reso and max_bucket_reso",
        "leave one of them out",
        WARNING,
    ),
    Rule(
        "default-caption-extension",
        "caption_extension",
        lambda s: not given(s.config, "caption_extension") and "caption_extension" not in s.given,
        "sd-scripts looks for captions in files ending in .caption where it is not told otherwise",
        'set it to ".txt"',
        WARNING,
    ),
    Rule(
        "extension-without-point",
        "caption_extension",
        lambda s: any(not str(each.caption_extension).startswith(".") for each in s.subsets),
        "the point is part of it: without one no caption is found",
        'write such as ".txt"',
    ),
    Rule(
        "dropout-of-cached-text",
        "caption_dropout_every_n_epochs",
        lambda s: s.text_cached and any(each.caption_dropout_every_n_epochs for each in s.subsets),
        "captions that are encoded once are never dropped; it has no effect",
        "leave it or the cache out",
        WARNING,
    ),
    Rule(
        "regularisation-doubles-steps",
        "is_reg",
        _regularised,
        "as many regularisation images are shown as others, so an epoch takes about twice the steps",
        "halve the epochs if the time shall stay the same",
        WARNING,
    ),
    Rule(
        "regularisation-without-weight",
        "is_reg",
        lambda s: s.full and _regularised(s),
        "sdxl_train.py gives regularisation images the same weight as the others",
        "leave them out, or train a LoRA",
        WARNING,
    ),
    Rule(
        "validation-without-use",
        "validation_split",
        lambda s: s.full and any(each.values.validation_split for each in s.datasets),
        "sdxl_train.py does not validate",
        "leave it out",
        WARNING,
    ),
    Rule(
        "validation-share",
        "validation_split",
        lambda s: not s.full and any(not 0 <= each.values.validation_split < 1 for each in s.datasets),
        "it is the share of images that are kept out of training",
        "set a number from 0 to below 1, such as 0.1",
    ),
)
