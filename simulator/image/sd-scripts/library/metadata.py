"""What a checkpoint says of its making, all in texts: `ss_*` for a LoRA, `modelspec.*` for every model."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from library.base_model import digests

if TYPE_CHECKING:
    import argparse

    from library.dataset import Dataset
    from library.network import Network
    from library.preparation import Prepared

# taken from the arguments as they are
_PLAIN = (
    "output_name learning_rate unet_lr gradient_checkpointing gradient_accumulation_steps "
    "max_train_steps lr_warmup_steps "
    "lr_scheduler network_module network_dim network_alpha network_dropout mixed_precision "
    "clip_skip max_token_length seed "
    "lowram noise_offset multires_noise_iterations multires_noise_discount "
    "adaptive_noise_scale zero_terminal_snr "
    "training_comment max_grad_norm caption_dropout_rate caption_dropout_every_n_epochs "
    "caption_tag_dropout_rate "
    "face_crop_aug_range prior_loss_weight min_snr_gamma scale_weight_norms ip_noise_gamma "
    "noise_offset_random_strength "
    "ip_noise_gamma_random_strength loss_type huber_schedule huber_scale huber_c "
    "validation_seed validation_split "
    "max_validation_steps validate_every_n_epochs validate_every_n_steps resize_interpolation"
)
_FLAGS = {
    "full_fp16": "full_fp16",
    "v2": "v2",
    "cache_latents": "cache_latents",
    "debiased_estimation": "debiased_estimation_loss",
    "fp8_base": "fp8_base",
    "fp8_base_unet": "fp8_base_unet",
}
MINIMUM = (
    "ss_v2",
    "ss_base_model_version",
    "ss_network_module",
    "ss_network_dim",
    "ss_network_alpha",
    "ss_network_args",
)
"""What `--no_metadata` leaves."""


def of_lora(
    args: argparse.Namespace,
    network: Network,
    prepared: Prepared,
    *,
    optimizer: str,
    batches: int,
    epochs: int,
    started: float,
    session: int,
    sdxl: bool,
) -> dict[str, str]:
    """Collect what is known when training starts; the time, step and epoch of saving come later."""
    datasets = prepared.datasets
    values: dict[str, Any] = {f"ss_{name}": getattr(args, name, None) for name in _PLAIN.split()}
    values |= {f"ss_{name}": bool(getattr(args, option)) for name, option in _FLAGS.items()}
    values |= {
        "ss_session_id": session,
        "ss_training_started_at": started,
        "ss_text_encoder_lr": args.text_encoder_lr,
        "ss_num_train_images": sum(dataset.train_images for dataset in datasets),
        "ss_num_validation_images": sum(dataset.train_images for dataset in prepared.validation),
        "ss_num_reg_images": sum(dataset.reg_images for dataset in datasets),
        "ss_num_batches_per_epoch": batches,
        "ss_num_epochs": epochs,
        "ss_base_model_version": "sdxl_base_v1-0" if sdxl else "sd_v1",
        "ss_optimizer": optimizer,
        "ss_sd_scripts_commit_hash": commit(),
    }
    if getattr(args, "cache_text_encoder_outputs", None) is not None:
        values["ss_cache_text_encoder_outputs"] = bool(args.cache_text_encoder_outputs)
    values |= _of_datasets(args, datasets, prepared.processes)
    if args.network_args:
        values["ss_network_args"] = json.dumps({**network.options, "dropout": args.network_dropout})
    for name, path in (("sd_model", args.pretrained_model_name_or_path), ("vae", args.vae)):
        if path is None:
            continue
        file = Path(path)
        if file.is_file():
            values[f"ss_{name}_hash"], values[f"ss_new_{name}_hash"] = digests(file)
        values[f"ss_{name}_name"] = file.name if file.exists() else path
    return {key: str(value) for key, value in values.items()}


def modelspec(args: argparse.Namespace, *, sdxl: bool, lora: bool) -> dict[str, str]:
    """Return the description after Stability's ModelSpec 1.0.1."""
    now = time.time()
    resolution = args.resolution or ((1024, 1024) if sdxl else (512, 512))
    spec = {
        "architecture": ("stable-diffusion-xl-v1-base" if sdxl else "stable-diffusion-v1")
        + ("/lora" if lora else ""),
        "implementation": "https://github.com/Stability-AI/generative-models",
        "title": args.metadata_title or args.output_name or f"{'LoRA' if lora else 'Checkpoint'}@{now}",
        "resolution": f"{resolution[0]}x{resolution[1]}",
        "sai_model_spec": "1.0.1",
        "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "prediction_type": "v" if args.v_parameterization else "epsilon",
        "implementation_version": f"sd-scripts/{commit()}",
    }
    for name in ("author", "description", "license", "tags", "usage_hint", "trigger_phrase", "merged_from"):
        if getattr(args, f"metadata_{name}", None) is not None:
            spec[name] = getattr(args, f"metadata_{name}")
    if args.clip_skip is not None:
        spec["encoder_layer"] = str(args.clip_skip)
    return {f"modelspec.{key}": value for key, value in spec.items()}


def commit() -> str:
    """Return the commit of the clone that this file lies in."""
    head = Path(__file__).resolve().parent.parent / ".git" / "HEAD"
    return head.read_text(encoding="utf-8").strip() if head.is_file() else "(unknown)"


def _of_datasets(args: argparse.Namespace, datasets: list[Dataset], processes: int) -> dict[str, Any]:
    folders: dict[str, dict[str, int]] = {}
    regularisation: dict[str, dict[str, int]] = {}
    for subset in (subset for dataset in datasets for subset in dataset.subsets):
        info = {"n_repeats": subset.num_repeats, "img_count": subset.count}
        (regularisation if subset.is_reg else folders)[
            Path(subset.metadata_file or subset.image_dir).name
        ] = info
    tags = {name: tags for dataset in datasets for name, tags in dataset.tag_frequency.items()}
    if args.dataset_config is not None:
        return {
            "ss_datasets": json.dumps([_dataset(dataset) for dataset in datasets]),
            "ss_tag_frequency": json.dumps(tags),
            "ss_dataset_dirs": json.dumps(folders),
        }
    first = datasets[0].settings
    return {
        "ss_batch_size_per_device": args.train_batch_size,
        "ss_total_batch_size": args.train_batch_size * processes * args.gradient_accumulation_steps,
        "ss_resolution": args.resolution,
        "ss_color_aug": bool(args.color_aug),
        "ss_flip_aug": bool(args.flip_aug),
        "ss_random_crop": bool(args.random_crop),
        "ss_shuffle_caption": bool(args.shuffle_caption),
        "ss_enable_bucket": bool(first["enable_bucket"]),
        "ss_bucket_no_upscale": bool(first["bucket_no_upscale"]),
        "ss_min_bucket_reso": first["min_bucket_reso"] if first["enable_bucket"] else None,
        "ss_max_bucket_reso": first["max_bucket_reso"] if first["enable_bucket"] else None,
        "ss_keep_tokens": args.keep_tokens,
        "ss_dataset_dirs": json.dumps(folders),
        "ss_reg_dataset_dirs": json.dumps(regularisation),
        "ss_tag_frequency": json.dumps(tags),
        "ss_bucket_info": json.dumps(_buckets(datasets[0])),
    }


def _dataset(dataset: Dataset) -> dict[str, Any]:
    values = dataset.settings
    return {
        "is_dreambooth": not any(subset.metadata_file for subset in dataset.subsets),
        "batch_size_per_device": values["batch_size"],
        "num_train_images": dataset.train_images,
        "num_reg_images": dataset.reg_images,
        "resolution": values["resolution"],
        "enable_bucket": values["enable_bucket"],
        "min_bucket_reso": values["min_bucket_reso"] if values["enable_bucket"] else None,
        "max_bucket_reso": values["max_bucket_reso"] if values["enable_bucket"] else None,
        "tag_frequency": dataset.tag_frequency,
        "bucket_info": _buckets(dataset),
        "resize_interpolation": values["resize_interpolation"],
        "subsets": [
            {
                "img_count": subset.count,
                **{
                    name: subset.settings[name]
                    for name in (
                        *(
                            "num_repeats",
                            "color_aug",
                            "flip_aug",
                            "random_crop",
                            "shuffle_caption",
                            "keep_tokens",
                        ),
                        *(
                            "keep_tokens_separator",
                            "secondary_separator",
                            "enable_wildcard",
                            "caption_prefix",
                        ),
                        *("caption_suffix", "resize_interpolation", "class_tokens", "is_reg"),
                    )
                },
                "image_dir": Path(subset.image_dir or "").name,
            }
            for subset in dataset.subsets
        ],
    }


def _buckets(dataset: Dataset) -> dict[str, Any] | None:
    if not dataset.settings["enable_bucket"]:
        return None
    buckets = {
        str(index): {"resolution": bucket, "count": count}
        for index, (bucket, count) in enumerate(dataset.counts.items())
    }
    return {"buckets": buckets, "mean_img_ar_error": dataset.mean_ar_error}
