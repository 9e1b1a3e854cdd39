"""The summary of the datasets that the trainer logs before it makes the buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from library.dataset import Dataset, Subset

_DATASET = ("batch_size", "resolution", "resize_interpolation", "enable_bucket")
_BUCKETS = ("min_bucket_reso", "max_bucket_reso", "bucket_reso_steps", "bucket_no_upscale")
_SUBSET = (
    "num_repeats shuffle_caption keep_tokens caption_dropout_rate "
    "caption_dropout_every_n_epochs caption_tag_dropout_rate "
    "caption_prefix caption_suffix color_aug flip_aug face_crop_aug_range random_crop "
    "token_warmup_min token_warmup_step "
    "alpha_mask resize_interpolation custom_attributes"
)
_COMMAS = {"token_warmup_min", "token_warmup_step"}  # the real one prints a comma there


def described(datasets: list[Dataset], kind: str) -> str:
    """Return the summary; `kind` is `Dataset` or `Validation Dataset`."""
    lines = []
    for index, dataset in enumerate(datasets):
        lines.append(f"[{kind} {index}]")
        names = (*_DATASET, *_BUCKETS) if dataset.settings["enable_bucket"] else _DATASET
        lines += [f"  {name}: {dataset.settings[name]}" for name in names]
        lines.append("")
        for number, subset in enumerate(dataset.subsets):
            lines += [f"  [Subset {number} of {kind} {index}]", *_subset(subset), ""]
    return "\n".join([*lines, ""])


def _subset(subset: Subset) -> list[str]:
    lines = [f'    image_dir: "{subset.image_dir}"', f"    image_count: {subset.count}"]
    lines += [
        f"    {name}: {subset.settings[name]}{',' if name in _COMMAS else ''}" for name in _SUBSET.split()
    ]
    if subset.metadata_file:
        return [*lines, f"    metadata_file: {subset.metadata_file}"]
    return lines + [
        f"    {name}: {subset.settings[name]}" for name in ("is_reg", "class_tokens", "caption_extension")
    ]
