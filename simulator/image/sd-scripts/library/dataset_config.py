"""From the dataset TOML, or folders named `<repeats>_<class>`, to the settings of datasets and subsets.

A value is taken from the subset, else the dataset, else `[general]`, else the command line, else the default.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from library import config_schema
from library.console import Failure, log, refuse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_SUBSET_DEFAULTS: dict[str, Any] = {
    "image_dir": None,
    "num_repeats": 1,
    "shuffle_caption": False,
    "caption_separator": ",",
    "keep_tokens": 0,
    "keep_tokens_separator": None,
    "secondary_separator": None,
    "enable_wildcard": False,
    "color_aug": False,
    "flip_aug": False,
    "face_crop_aug_range": None,
    "random_crop": False,
    "caption_prefix": None,
    "caption_suffix": None,
    "caption_dropout_rate": 0.0,
    "caption_dropout_every_n_epochs": 0,
    "caption_tag_dropout_rate": 0.0,
    "token_warmup_min": 1,
    "token_warmup_step": 0,
    "custom_attributes": {},
    "resize_interpolation": None,
    "is_reg": False,
    "class_tokens": None,
    "caption_extension": ".caption",
    "cache_info": False,
    "alpha_mask": False,
    "metadata_file": None,
}
_DATASET_DEFAULTS: dict[str, Any] = {
    "resolution": None,
    "batch_size": 1,
    "enable_bucket": False,
    "min_bucket_reso": 256,
    "max_bucket_reso": 1024,
    "bucket_reso_steps": 64,
    "bucket_no_upscale": False,
    "validation_split": 0.0,
    "validation_seed": None,
    "resize_interpolation": None,
}
_COMMAND_LINE_NAMES = {"batch_size": "train_batch_size", "num_repeats": "dataset_repeats"}


class DatasetSettings(NamedTuple):
    """The settings of one dataset and of its subsets, defaults filled in."""

    values: dict[str, Any]
    subsets: list[dict[str, Any]]


def read(args: argparse.Namespace, *, full: bool, dropout: bool) -> list[DatasetSettings]:
    """Find the datasets that the arguments describe; `full` chooses the words of full fine-tuning's script.

    Raises:
        Failure: the configuration is missing, unreadable or wrong.
    """
    config = (
        _from_file(args, full=full) if args.dataset_config is not None else _from_arguments(args, full=full)
    )
    try:
        config_schema.check(config, masked_loss=args.masked_loss, dropout=dropout)
    except Failure:
        log("bad_user_config")
        raise
    general = config.get("general", {})
    command_line = vars(args)
    found = []
    for dataset in config.get("datasets", []):
        values = _filled(_DATASET_DEFAULTS, (dataset, general), command_line)
        if isinstance(values["resolution"], int):
            values["resolution"] = (values["resolution"], values["resolution"])
        elif values["resolution"] is not None:
            values["resolution"] = tuple(values["resolution"])
        subsets = [
            _filled(_SUBSET_DEFAULTS, (subset, dataset, general), command_line)
            for subset in dataset.get("subsets", [])
        ]
        for subset in subsets:
            extension = subset["caption_extension"]
            subset["caption_extension"] = extension if extension.startswith(".") else f".{extension}"
        found.append(DatasetSettings(values, subsets))
    if not found:
        raise Failure("AssertionError", "datasets should not be an empty iterable")
    return found


def _filled(
    defaults: Mapping[str, Any], levels: tuple[Mapping[str, Any], ...], command_line: Mapping[str, Any]
) -> dict[str, Any]:
    filled = {}
    for name, default in defaults.items():
        candidates = [level.get(name) for level in levels]
        candidates.append(command_line.get(_COMMAND_LINE_NAMES.get(name, name)))
        filled[name] = next((value for value in candidates if value is not None), default)
    return filled


def _from_file(args: argparse.Namespace, *, full: bool) -> dict[str, Any]:
    path = args.dataset_config
    log("dataset_config_full" if full else "dataset_config", path=path)
    if not Path(path).is_file():
        refuse("dataset_file", path=path)
    config = _parsed(Path(path))
    names = ["train_data_dir", "in_json"] if full else ["train_data_dir", "reg_data_dir", "in_json"]
    if any(getattr(args, name) is not None for name in names):
        log("options_ignored_full" if full else "options_ignored", names=", ".join(names))
    return config


def _parsed(path: Path) -> dict[str, Any]:
    text = path.read_bytes()
    if path.name.lower().endswith(".json"):
        try:
            config: dict[str, Any] = json.loads(text)
        except ValueError as error:
            log("bad_json", path=path)
            raise Failure("json.decoder.JSONDecodeError", str(error)) from None
        return config
    if path.name.lower().endswith(".toml"):
        try:
            return tomllib.loads(text.decode())
        except ValueError as error:
            log("bad_toml", path=path)
            raise Failure("toml.decoder.TomlDecodeError", str(error)) from None
    refuse("dataset_suffix", path=path)
    return None


def _from_arguments(args: argparse.Namespace, *, full: bool) -> dict[str, Any]:
    if args.in_json is not None:
        log("captions_full" if full else "captions")
        return {
            "datasets": [{"subsets": [{"image_dir": args.train_data_dir, "metadata_file": args.in_json}]}]
        }
    log("dreambooth_full" if full else "dreambooth")
    subsets = [*_by_name(args.train_data_dir, is_reg=False), *_by_name(args.reg_data_dir, is_reg=True)]
    return {"datasets": [{"subsets": subsets}]}


def _by_name(folder: str | None, *, is_reg: bool) -> list[dict[str, Any]]:
    """Read the folder convention: `10_cat` is ten repeats of the class `cat`."""
    if folder is None or not Path(folder).is_dir():
        return []
    subsets = []
    for entry in sorted(Path(folder).iterdir()):
        if not entry.is_dir():
            continue
        number, _, class_tokens = entry.name.partition("_")
        try:
            repeats = int(number)
        except ValueError:
            log("no_repeats_in_name", name=entry.name)
            continue
        if repeats >= 1:
            subsets.append(
                {
                    "image_dir": str(entry),
                    "num_repeats": repeats,
                    "is_reg": is_reg,
                    "class_tokens": class_tokens,
                }
            )
    return subsets
