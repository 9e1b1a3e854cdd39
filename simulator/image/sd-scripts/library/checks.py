"""What is refused, and when: combinations of options, in the order in which the trainer comes to them."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from library.console import log, refuse

if TYPE_CHECKING:
    import argparse

    from library.dataset import Dataset


def training_args(args: argparse.Namespace) -> None:
    """Check what needs nothing but the command line, and switch on what an option implies.

    Raises:
        Failure: a combination that cannot be.
    """
    if args.highvram:
        log("highvram")
    if args.v2 and args.clip_skip is not None:
        log("v2_clip_skip")
    if args.cache_latents_to_disk and not args.cache_latents:
        args.cache_latents = True
        log("cache_latents_too")
    if args.adaptive_noise_scale is not None and args.noise_offset is None:
        refuse("adaptive_noise_scale")
    if args.scale_v_pred_loss_like_noise_pred and not args.v_parameterization:
        refuse("scale_v_pred")
    if args.v_pred_like_loss and args.v_parameterization:
        refuse("v_pred_like_loss")
    if args.zero_terminal_snr and not args.v_parameterization:
        log("zero_terminal_snr")
    if args.sample_every_n_epochs is not None and args.sample_every_n_epochs <= 0:
        log("sample_epochs_off")
        args.sample_every_n_epochs = None
    if args.sample_every_n_steps is not None and args.sample_every_n_steps <= 0:
        log("sample_steps_off")
        args.sample_every_n_steps = None


def dataset_args(args: argparse.Namespace) -> None:
    """Turn the texts of resolution and face crop range into numbers.

    Raises:
        Failure: they have the wrong number of parts.
    """
    if args.caption_extention is not None:
        args.caption_extension, args.caption_extention = args.caption_extention, None
    if args.resolution is not None:
        sides = tuple(int(side) for side in str(args.resolution).split(","))
        args.resolution = sides * 2 if len(sides) == 1 else sides
        if len(args.resolution) != 2:
            refuse("resolution_form", value=args.resolution)
    if args.face_crop_aug_range is not None:
        args.face_crop_aug_range = tuple(float(part) for part in args.face_crop_aug_range.split(","))
        if len(args.face_crop_aug_range) != 2 or args.face_crop_aug_range[0] > args.face_crop_aug_range[1]:
            refuse("face_crop_form", value=args.face_crop_aug_range)
    if args.in_json is not None and (args.color_aug or args.random_crop):
        log("in_json_augmented")


def sdxl_args(args: argparse.Namespace) -> None:
    """Check what only SDXL refuses.

    Raises:
        Failure: `--v2`.
    """
    if args.v2:
        refuse("v2")
    if args.clip_skip is not None:
        log("clip_skip")
    if getattr(args, "cache_text_encoder_outputs_to_disk", False) and not args.cache_text_encoder_outputs:
        args.cache_text_encoder_outputs = True
        log("cache_te_too")


def full_args(args: argparse.Namespace) -> list[float] | None:
    """Check what only full fine-tuning refuses; return its learning rates by block.

    Raises:
        Failure: a combination that cannot be.
    """
    if args.weighted_captions and args.cache_text_encoder_outputs:
        refuse("weighted_captions")
    if args.train_text_encoder and args.cache_text_encoder_outputs:
        refuse("te_trained_and_cached")
    if not args.block_lr:
        return None
    rates = [float(rate) for rate in args.block_lr.split(",")]
    if len(rates) != 23:
        refuse("block_lr")
    return rates


def bucket_steps(datasets: list[Dataset], least: int) -> None:
    """Check the bucket steps against the model's granularity.

    Raises:
        Failure: they are no multiple of it.
    """
    for dataset in datasets:
        steps = dataset.settings["bucket_reso_steps"]
        if dataset.settings["enable_bucket"] and steps % least:
            refuse("bucket_reso_steps", steps=steps, least=least)


def caches(args: argparse.Namespace, datasets: list[Dataset], *, full: bool) -> None:
    """Check that what shall be cached stays the same from step to step.

    Raises:
        Failure: it does not.
    """
    subsets = [subset for dataset in datasets for subset in dataset.subsets]
    if args.cache_latents and any(subset.color_aug or subset.random_crop for subset in subsets):
        refuse("latents_cacheable")
    if not full:
        sdxl_args(args)
    if getattr(args, "cache_text_encoder_outputs", False) and not all(
        subset.caches_captions for subset in subsets
    ):
        refuse("te_cacheable_full" if full else "te_cacheable")
    if not full and getattr(args, "cache_text_encoder_outputs", False) and not args.network_train_unet_only:
        refuse("te_network_cached")


def trackers(args: argparse.Namespace) -> None:
    """Check the logging options.

    Raises:
        Failure: no folder for TensorBoard, no wandb.
    """
    if args.log_with in {"tensorboard", "all"} and args.logging_dir is None:
        refuse("logging_dir")
    if args.log_with in {"wandb", "all"} and importlib.util.find_spec("wandb") is None:
        refuse("no_wandb")


def precision(args: argparse.Namespace) -> None:
    """Check the precision options against each other.

    Raises:
        Failure: they contradict each other.
    """
    if args.full_fp16 and args.mixed_precision != "fp16":
        refuse("full_fp16")
    if args.full_bf16 and args.mixed_precision != "bf16":
        refuse("full_bf16")
