"""The shape of a dataset configuration: which key may stand where, of what type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from library.console import Failure, refuse

_Kinds = Mapping[str, str]

_SUBSET: _Kinds = {
    "color_aug": "bool",
    "face_crop_aug_range": "pair",
    "flip_aug": "bool",
    "num_repeats": "int",
    "random_crop": "bool",
    "shuffle_caption": "bool",
    "keep_tokens": "int",
    "keep_tokens_separator": "str",
    "secondary_separator": "str",
    "caption_separator": "str",
    "enable_wildcard": "bool",
    "token_warmup_min": "int",
    "token_warmup_step": "number",
    "caption_prefix": "str",
    "caption_suffix": "str",
    "custom_attributes": "dict",
    "resize_interpolation": "str",
}
_DROPOUT: _Kinds = {
    "caption_dropout_every_n_epochs": "int",
    "caption_dropout_rate": "number",
    "caption_tag_dropout_rate": "number",
}
_DREAMBOOTH: _Kinds = {"caption_extension": "str", "class_tokens": "str", "cache_info": "bool"}
_CONTROLNET: _Kinds = {"caption_extension": "str", "cache_info": "bool"}
_DATASET: _Kinds = {
    "batch_size": "int",
    "bucket_no_upscale": "bool",
    "bucket_reso_steps": "int",
    "enable_bucket": "bool",
    "max_bucket_reso": "int",
    "min_bucket_reso": "int",
    "validation_seed": "int",
    "validation_split": "float",
    "resolution": "resolution",
    "network_multiplier": "float",
    "resize_interpolation": "str",
}
# mode -> (keys of a subset alone, those it cannot do without, keys that may also stand above)
_MODES: Mapping[str, tuple[_Kinds, tuple[str, ...], _Kinds]] = {
    "dreambooth": ({"image_dir": "str", "is_reg": "bool", "alpha_mask": "bool"}, ("image_dir",), _DREAMBOOTH),
    "finetuning": (
        {"metadata_file": "str", "image_dir": "str", "alpha_mask": "bool"},
        ("metadata_file",),
        {},
    ),
    "controlnet": (
        {"image_dir": "str", "conditioning_data_dir": "str"},
        ("image_dir", "conditioning_data_dir"),
        _CONTROLNET,
    ),
}
_TYPES: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float,),
    "number": (float, int),
    "str": (str,),
    "dict": (dict,),
}


def check(config: Mapping[str, Any], *, masked_loss: bool, dropout: bool) -> None:
    """Accept a configuration, or end the training with the first thing that is wrong in it.

    Args:
        config: the parsed TOML or JSON.
        masked_loss: whether ControlNet's subsets are possible.
        dropout: whether the script knows caption dropout.

    Raises:
        Failure: the first error, worded as voluptuous words it.
    """
    shared = {**_SUBSET, **(_DROPOUT if dropout else {})}
    general = {**_DATASET, **shared, **_DREAMBOOTH, **(_CONTROLNET if masked_loss else {})}
    for key, value in config.items():
        if key == "general":
            _mapping(value, general, (key,))
        elif key == "datasets":
            for index, dataset in enumerate(_list(value, (key,))):
                _dataset(dataset, shared, (key, index), masked_loss=masked_loss)
        else:
            _invalid("extra keys not allowed", (key,))


def mode(subsets: list[dict[str, Any]], *, masked_loss: bool) -> str:
    """Return how the subsets of a dataset are read."""
    if masked_loss and all("conditioning_data_dir" in subset for subset in subsets):
        return "controlnet"
    if all("metadata_file" in subset for subset in subsets) and subsets:
        return "finetuning"
    if any("metadata_file" in subset for subset in subsets):
        return "mixed"
    return "dreambooth"


def _dataset(dataset: Any, shared: _Kinds, path: tuple[str | int, ...], *, masked_loss: bool) -> None:
    subsets = dataset.get("subsets", [])
    _list(subsets, (*path, "subsets"))
    kind = mode(subsets, masked_loss=masked_loss)
    if kind == "mixed":
        refuse_mixed(path)
    own, required, above = _MODES[kind]
    scalars = {key: value for key, value in dataset.items() if key != "subsets"}
    _mapping(scalars, {**_DATASET, **shared, **above}, path)
    for index, subset in enumerate(subsets):
        here = (*path, "subsets", index)
        _mapping(subset, {**shared, **own, **above}, here)
        for key in required:
            if key not in subset:
                _invalid("required key not provided", (*here, key))


def refuse_mixed(path: tuple[str | int, ...]) -> None:
    """End the training over a dataset whose subsets are of two modes."""
    try:
        refuse("mixed_subsets")
    except Failure as failure:
        raise Failure(failure.kind, f"{failure} @ data{_at(path)}") from None


def _mapping(value: Any, kinds: _Kinds, path: tuple[str | int, ...]) -> None:
    if not isinstance(value, dict):
        _invalid("expected a dictionary for dictionary value", path)
    for key, item in value.items():
        if key not in kinds:
            _invalid("extra keys not allowed", (*path, key))
        expected = _mismatch(item, kinds[key])
        if expected:
            _invalid(f"expected {expected} for dictionary value", (*path, key))


def _mismatch(value: Any, kind: str) -> str | None:
    """Return the type that voluptuous asks for where the value has another one."""
    if kind == "resolution":
        pair = isinstance(value, list) and len(value) == 2 and all(isinstance(side, int) for side in value)
        return None if pair or isinstance(value, int) else "int"
    if kind == "pair":
        pair = isinstance(value, list) and len(value) == 2 and all(isinstance(side, float) for side in value)
        return None if pair else "float"
    types = _TYPES[kind]
    return None if isinstance(value, types) else types[0].__name__


def _list(value: Any, path: tuple[str | int, ...]) -> list[Any]:
    if not isinstance(value, list):
        _invalid("expected a list for dictionary value", path)
    items: list[Any] = value
    return items


def _invalid(reason: str, path: tuple[str | int, ...]) -> None:
    raise Failure("voluptuous.error.MultipleInvalid", f"{reason} @ data{_at(path)}")


def _at(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part!r}]" for part in path)
