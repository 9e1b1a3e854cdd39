"""Everything before the network and the optimizer: arguments, images, accelerator, model, caches."""

from __future__ import annotations

import importlib.util
import os
import random
from typing import TYPE_CHECKING, NamedTuple

from hardware import clock
from hardware.facts import machine
from torch import cuda, version

from library import base_model, caches, checks, memory, speed, tokenizers
from library import dataset_loading as images
from library.console import Failure, echo, log, refuse, set_up_logging
from library.dataset_config import DatasetSettings, read
from library.dataset_info import described

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from library.dataset import Dataset

_PACKAGES = (
    "torch", "tqdm", "accelerate", "diffusers", "transformers", "huggingface_hub", "numpy", "PIL",
    "imagesize", "cv2", "safetensors", "toml", "voluptuous", "einops",
)  # fmt: skip


class Prepared(NamedTuple):
    """What training starts from.

    Attributes:
        datasets: of training.
        validation: images kept out of training, if any.
        model: the loaded base model.
        broken: images whose latents are NaN.
        vae_overflows: whether the VAE runs in a precision that it overflows in.
        processes: how many GPUs train.
        block_rates: learning rates by U-Net block, for full fine-tuning.
    """

    datasets: list[Dataset]
    validation: list[Dataset]
    model: base_model.BaseModel
    broken: set[Path]
    vae_overflows: bool
    processes: int
    block_rates: list[float] | None


def import_packages() -> None:
    """Take the time of the imports.

    Raises:
        Failure: a package is not installed.
    """
    for name in _PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise Failure("ModuleNotFoundError", f"No module named '{name}'")
    clock.sleep(speed.IMPORTS)


def prepare(args: argparse.Namespace, *, full: bool, sdxl: bool) -> Prepared | None:
    """Prepare a training; None where the trainer ends without one, and without an error.

    Raises:
        Failure: whatever ends it with one.
    """
    checks.training_args(args)
    checks.dataset_args(args)
    if full and sdxl:
        checks.sdxl_args(args)
    set_up_logging(args)
    block_rates = checks.full_args(args) if full and sdxl else None
    if args.seed is None:
        args.seed = random.randrange(2**32)
    tokenizers.load(args.tokenizer_cache_dir)
    settings = read(args, full=full, dropout=True)
    datasets, validation = _load_datasets(args, settings, sdxl=sdxl, full=full)
    least = 32 if sdxl else 64
    if full:
        checks.bucket_steps(datasets, least)
    if args.debug_dataset:
        return None
    if not sum(dataset.batches for dataset in datasets):
        log("no_data_full" if full else "no_data")
        return None
    checks.caches(args, datasets, full=full)
    if not full:
        checks.bucket_steps([*datasets, *validation], least)
    processes = _accelerator(args, full=full)
    checks.precision(args)
    model = base_model.load(args, sdxl=sdxl, rank=0, world=processes)
    _attention(args, full=full)
    overflows = sdxl and args.mixed_precision == "fp16" and not args.no_half_vae and model.stock_vae
    broken: set[Path] = set()
    if args.cache_latents:
        everything = [*datasets, *validation]
        broken = caches.latents(args, everything, sdxl=sdxl, overflows=overflows, processes=processes)
    if full and args.train_text_encoder:
        echo("enable text encoder training")
    elif getattr(args, "cache_text_encoder_outputs", False):
        makes_room = not full and not args.lowram
        caches.text_encodings(args, [*datasets, *validation], processes, makes_room=makes_room)
    return Prepared(
        datasets, validation, model, broken, overflows and not args.cache_latents, processes, block_rates
    )


def _load_datasets(
    args: argparse.Namespace, settings: list[DatasetSettings], *, sdxl: bool, full: bool
) -> tuple[list[Dataset], list[Dataset]]:
    suffix = ("_sdxl.npz" if sdxl else "_sd.npz") if args.cache_latents or not full else None
    seed = args.seed

    def load(one: DatasetSettings, *, validation: bool) -> Dataset:
        own = one.values["validation_seed"]
        return images.load(one, seed if own is None else own, size_cache_suffix=suffix, validation=validation)

    datasets = [load(one, validation=False) for one in settings]
    validation = [
        load(one, validation=True) for one in settings if 0 < one.values["validation_split"] <= 1 and not full
    ]
    log("dataset_info", text=described(datasets, "Dataset"))
    if validation:
        log("dataset_info", text=described(validation, "Validation Dataset"))
    for key, group in (("prepare_dataset", datasets), ("prepare_validation", validation)):
        for index, dataset in enumerate(group):
            log(key, index=index)
            images.make_buckets(dataset)
    return datasets, validation


def _accelerator(args: argparse.Namespace, *, full: bool) -> int:
    """Bring up the accelerator; return the number of processes."""
    log("accelerator_full" if full else "accelerator")
    checks.trackers(args)
    available = cuda.is_available()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if not available and args.mixed_precision == "fp16":
        raise Failure("ValueError", "fp16 mixed precision requires a GPU (not 'cpu').")
    if available and args.mixed_precision == "bf16" and not cuda.is_bf16_supported():
        raise Failure("ValueError", "bf16 mixed precision requires PyTorch >= 1.10 and a supported device.")
    if not available:
        raise Failure("RuntimeError", "No CUDA GPUs are available")
    if processes > len(machine().gpus):
        raise Failure("torch.AcceleratorError", "CUDA error: invalid device ordinal")
    if machine().gpus[0].name.startswith("NVIDIA GeForce RTX 50") and _older_than_blackwell():
        raise Failure("RuntimeError", "CUDA error: no kernel image is available for execution on the device")
    for rank in range(processes):
        echo(f"accelerator device: cuda{f':{rank}' if processes > 1 else ''}")
    memory.require(0.7e9, processes, 0)
    return processes


def _older_than_blackwell() -> bool:
    return tuple(int(part) for part in (version.cuda or "0.0").split(".")) < (12, 8)


def _attention(args: argparse.Namespace, *, full: bool) -> None:
    if full:
        echo("Disable Diffusers' xformers")
    if args.mem_eff_attn:
        log("mem_eff_attention")
    elif args.xformers:
        log("xformers")
        if importlib.util.find_spec("xformers") is None:
            refuse("no_xformers")
    elif args.sdpa:
        log("sdpa")
