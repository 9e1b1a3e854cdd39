"""sd-scripts as seen from its command line: its parsers, its dataset schema, and what it asserts afterwards.

Each rule names a combination that sd-scripts refuses only after the model is loaded, in paid minutes.
"""

from __future__ import annotations

import ast
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

TABLE = json.loads((Path(__file__).parent / "data/sd_scripts.json").read_text())

_TYPES: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str}


def parser(script: str) -> ArgumentParser:
    """Return a parser that accepts what that script's own parser accepts, abbreviations excepted."""
    found = ArgumentParser(allow_abbrev=False)
    for options in (TABLE["options"]["both"], TABLE["options"][script]):
        for kind, names in options.items():
            for name in names:
                if kind == "flag":
                    found.add_argument(f"--{name}", action="store_true")
                elif kind == "choices":
                    choices = names[name]
                    found.add_argument(f"--{name}", choices=choices, type=type(choices[0]))
                else:
                    nargs = "*" if kind.endswith("*") else None
                    found.add_argument(f"--{name}", type=_TYPES[kind.rstrip("*")], nargs=nargs)
    return found


def launcher() -> ArgumentParser:
    """Return a parser of `accelerate launch` as far as a job of one machine needs it."""
    found = ArgumentParser(allow_abbrev=False)
    for name in ("num_processes", "num_machines", "num_cpu_threads_per_process"):
        found.add_argument(f"--{name}", type=int, required=True)
    found.add_argument("--multi_gpu", action="store_true")
    found.add_argument("--mixed_precision", choices=["no", "fp16", "bf16"], required=True)
    found.add_argument("--dynamo_backend", choices=["no"], required=True)
    return found


def misfits(table: dict[str, Any], level: str) -> list[str]:
    """Return the keys of a dataset or a subset that sd-scripts refuses, for their name or for their type."""
    types = TABLE["dataset_keys"][level]
    return [
        key
        for key, value in table.items()
        if key != "subsets" and type(value).__name__ not in types.get(key, "").split("|")
    ]


def _warms_up(args: Namespace) -> bool:
    return bool(args.lr_warmup_steps)


def _relative_step(args: Namespace) -> bool:
    return args.optimizer_type == "Adafactor" and "relative_step=False" not in (args.optimizer_args or [])


def _literal(argument: str) -> bool:
    name, *values = argument.split("=")
    try:
        ast.literal_eval(values[0])
    except (ValueError, SyntaxError, IndexError):
        return False
    return len(values) == 1 and name.isidentifier()


def broken_rules(args: Namespace, dataset: dict[str, Any], *, lora: bool) -> list[str]:
    """Return what sd-scripts would stop at, given the options and the one dataset of the TOML file."""
    subsets = dataset["subsets"]
    step, resolution = dataset.get("bucket_reso_steps", 64), dataset["resolution"]
    least = dataset.get("min_bucket_reso", 256) // step * step
    most = -(-dataset.get("max_bucket_reso", 1024) // step) * step
    changing = ("shuffle_caption", "caption_dropout_rate", "caption_tag_dropout_rate", "token_warmup_step")
    cached = args.cache_text_encoder_outputs
    rules = {
        "half precision weights without that precision": (args.full_fp16 and args.mixed_precision != "fp16")
        or (args.full_bf16 and args.mixed_precision != "bf16"),
        "captions change, but their encodings are cached": cached
        and any(subset.get(key) for subset in subsets for key in changing),
        "text encoders are trained, but their outputs are cached": cached
        and (not args.network_train_unet_only if lora else args.train_text_encoder),
        "captions are weighted, but cached": not lora and cached and args.weighted_captions,
        "images change, but their latents are cached": args.cache_latents
        and any(subset.get("color_aug") or subset.get("random_crop") for subset in subsets),
        "fused backward pass": args.fused_backward_pass
        and (lora or args.optimizer_type != "Adafactor" or int(args.gradient_accumulation_steps) != 1),
        "bucket steps": dataset["enable_bucket"] and (step % 32 != 0 or least < step),
        "resolution outside the buckets": dataset["enable_bucket"] and not least <= resolution <= most,
        "a constant rate with warmup": args.lr_scheduler in (None, "constant") and _warms_up(args),
        "Adafactor's own rate with warmup": _relative_step(args) and _warms_up(args),
        "an unknown optimizer": args.optimizer_type not in TABLE["optimizers"],
        "an unknown scheduler": args.lr_scheduler not in TABLE["schedulers"],
        "an optimizer argument that is no literal": not all(map(_literal, args.optimizer_args or [])),
        "8-bit Adam twice": args.use_8bit_adam or args.use_lion_optimizer,
        "TensorBoard without a folder": args.log_with in ("tensorboard", "all") and not args.logging_dir,
        "previews without prompts": (args.sample_every_n_epochs or args.sample_every_n_steps)
        and not args.sample_prompts,
        "no network": lora and not args.network_module,
        "no folder to save in": not args.output_dir,
        "persistent loaders without loaders": args.persistent_data_loader_workers
        and args.max_data_loader_n_workers == 0,
        "the fp16 VAE of SDXL gives nan": not args.no_half_vae,
        "plain attention": not (args.sdpa or args.xformers or args.mem_eff_attn),
        "the default number of steps": not args.max_train_epochs,
    }
    return [name for name, broken in rules.items() if broken]
