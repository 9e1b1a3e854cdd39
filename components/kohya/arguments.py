"""From a job's settings to what sd-scripts is told: options of its command, and its dataset file. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from components.kohya.options import FULL, LORA, Script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.kohya.derive import Settings
    from components.spec.dataset import Subset
    from components.spec.train import TrainJob
    from components.spec.training import Prompt, Setting

FIELDS: Final[Mapping[str, str]] = {
    "pretrained_model_name_or_path": "base_model",
    "output_name": "name",
    "max_train_epochs": "training.epochs",
    "max_train_steps": "training.steps",
    "train_batch_size": "training.batch_size",
    "batch_size": "training.batch_size",
    "resolution": "training.resolution",
    "learning_rate": "training.learning_rate",
    "text_encoder_lr": "training.text_encoder_rate",
    "optimizer_type": "training.optimizer",
    "optimizer_args": "training.optimizer_args",
    "lr_scheduler": "training.scheduler",
    "lr_scheduler_args": "training.scheduler_args",
    "lr_warmup_steps": "training.warmup_steps",
    "mixed_precision": "training.precision",
    "gradient_checkpointing": "training.gradient_checkpointing",
    "full_bf16": "training.full_bf16",
    "fused_backward_pass": "training.fused",
    "gradient_accumulation_steps": "training.gradient_accumulation",
    "save_every_n_epochs": "training.save_every_epochs",
    "save_last_n_epochs": "training.keep_last",
    "save_state": "training.save_state",
    "seed": "training.seed",
    "network_module": "lora.module",
    "network_dim": "lora.dim",
    "network_alpha": "lora.alpha",
    "network_args": "lora.args",
    "network_train_unet_only": "lora.text_encoders",
    "sample_prompts": "samples.prompts",
    "sample_every_n_epochs": "samples.every_epochs",
    "sample_sampler": "samples.sampler",
    "enable_bucket": "buckets.enabled",
    "min_bucket_reso": "buckets.min",
    "max_bucket_reso": "buckets.max",
    "bucket_reso_steps": "buckets.step",
    "bucket_no_upscale": "buckets.no_upscale",
    "caption_extension": "dataset.caption_extension",
    "class_tokens": "dataset.class_tokens",
    "num_repeats": "dataset.repeats",
    "dataset_repeats": "dataset.repeats",
    "keep_tokens": "dataset.keep_tokens",
    "shuffle_caption": "dataset.shuffle_caption",
    "caption_dropout_rate": "dataset.caption_dropout",
    "caption_tag_dropout_rate": "dataset.tag_dropout",
    "flip_aug": "dataset.flip_aug",
}
"""The field of a job file that stands for an option of sd-scripts or a key of its dataset file."""

_OURS: Final = (
    *("dataset_config", "train_data_dir", "reg_data_dir", "in_json", "config_file", "output_config"),
    *("output_dir", "logging_dir", "console_log_simple", "console_log_file", "save_model_as"),
    *("save_every_n_steps", "save_n_epoch_ratio", "save_last_n_steps", "save_last_n_epochs_state"),
    *("save_last_n_steps_state", "save_state_on_train_end", "resume", "initial_epoch", "initial_step"),
    *("skip_until_initial_step", "sample_every_n_steps", "tokenizer_cache_dir", "debug_dataset"),
    *("huggingface_token", "wandb_api_key"),
)
TAKEN: Final[Mapping[str, str]] = {**FIELDS, **dict.fromkeys(_OURS, "")}
"""Options that `extra` may not set, with the field to use instead, if there is one."""

_ADAFACTOR: Final = {"scale_parameter": False, "relative_step": False, "warmup_init": False}
"""Without these, Adafactor replaces learning rate and schedule; a job that asks for that gets none."""


def script(job: TrainJob) -> Script:
    """Return the script that trains `job`."""
    return LORA if job.lora else FULL


def options(job: TrainJob, settings: Settings) -> dict[str, Any]:
    """Return the options of the command, without those that name places on the machine."""
    training, shape = job.training, settings.shape
    made: dict[str, Any] = {
        "output_name": job.name,
        "log_with": "tensorboard",
        "console_log_simple": True,
        "save_model_as": "safetensors",
        "save_precision": "fp16",
        "save_every_n_epochs": settings.save_every,
        "save_last_n_epochs": training.keep_last and training.keep_last * settings.save_every,
        "save_state": settings.save_state,
        "save_last_n_epochs_state": settings.save_every if settings.save_state else None,
        "max_train_epochs": settings.epochs,
        "learning_rate": settings.learning_rate,
        "text_encoder_lr": training.text_encoder_rate and [training.text_encoder_rate],
        "lr_scheduler": training.scheduler,
        "lr_scheduler_args": _literals(training.scheduler_args),
        "lr_warmup_steps": training.warmup_steps or None,
        "optimizer_type": shape.optimizer,
        "optimizer_args": _literals(_optimizer_args(shape.optimizer, training.optimizer_args)),
        "mixed_precision": training.precision,
        "full_bf16": shape.full_bf16,
        "fused_backward_pass": shape.fused,
        "no_half_vae": True,
        "sdpa": True,
        "cache_latents": True,
        "cache_latents_to_disk": True,
        "gradient_checkpointing": shape.checkpointing,
        "gradient_accumulation_steps": training.gradient_accumulation,
        "max_data_loader_n_workers": 2,
        "persistent_data_loader_workers": True,
        "seed": training.seed,
        "cache_text_encoder_outputs": shape.text_cached,
        "cache_text_encoder_outputs_to_disk": shape.text_cached,
    }
    if job.lora:
        made["network_module"] = job.lora.module
        made["network_dim"] = job.lora.dim
        made["network_alpha"] = job.lora.alpha
        made["network_args"] = [f"{name}={value}" for name, value in job.lora.args.items()]
        made["network_train_unet_only"] = not job.lora.text_encoders
    elif shape.processes > 1:
        made["ddp_gradient_as_bucket_view"] = True
        made["ddp_static_graph"] = True
    if job.samples:
        made["sample_every_n_epochs"] = job.samples.every_epochs
        made["sample_sampler"] = job.samples.sampler
    everything = made | job.extra
    return {
        name: value
        for name, value in everything.items()
        if value is not None and value is not False and value != []
    }


def dataset_config(job: TrainJob, settings: Settings, folder: str) -> dict[str, Any]:
    """Return the dataset configuration in sd-scripts' own schema; the images lie under `folder`."""
    dataset: dict[str, Any] = {
        "resolution": job.training.resolution,
        "batch_size": settings.shape.batch_size,
        "enable_bucket": job.buckets.enabled,
    }
    if job.buckets.enabled:
        dataset["min_bucket_reso"] = job.buckets.min
        dataset["max_bucket_reso"] = job.buckets.max
        dataset["bucket_reso_steps"] = job.buckets.step
        dataset["bucket_no_upscale"] = job.buckets.no_upscale
    subsets = [_subset(subset, folder) for subset in settings.subsets]
    return {"datasets": [{**dataset, "subsets": subsets}]}


def prompts(job: TrainJob) -> str:
    """Return the file of sample prompts, one a line, in sd-scripts' own notation; empty for none."""
    if not job.samples:
        return ""
    return "".join(_prompt(each, job.training.resolution) for each in job.samples.prompts)


def flags(values: Mapping[str, Any]) -> list[str]:
    """Return options as the words of a command."""
    words: list[str] = []
    for name, value in values.items():
        words.append(f"--{name}")
        if isinstance(value, list | tuple):
            words += map(str, value)
        elif value is not True:
            words.append(str(value))
    return words


def _subset(subset: Subset, folder: str) -> dict[str, Any]:
    path = folder if subset.folder.strip("/") in ("", ".") else f"{folder}/{subset.folder.strip('/')}"
    made: dict[str, Any] = {
        "image_dir": path,
        "num_repeats": subset.repeats,
        "caption_extension": subset.caption_extension,
        "keep_tokens": subset.keep_tokens,
        "shuffle_caption": subset.shuffle_caption,
        "flip_aug": subset.flip_aug,
    }
    if subset.class_tokens:
        made["class_tokens"] = subset.class_tokens
    if subset.regularisation:
        made["is_reg"] = True
    if subset.caption_dropout:
        made["caption_dropout_rate"] = float(subset.caption_dropout)
    if subset.tag_dropout:
        made["caption_tag_dropout_rate"] = float(subset.tag_dropout)
    return made


def _prompt(prompt: Prompt, resolution: int) -> str:
    width, height = prompt.width or resolution, prompt.height or resolution
    negative = f" --n {prompt.negative}" if prompt.negative else ""
    numbers = f"--w {width} --h {height} --d {prompt.seed} --l {prompt.cfg:g} --s {prompt.steps}"
    return f"{prompt.prompt}{negative} {numbers}\n"


def _optimizer_args(optimizer: str, given: Mapping[str, Setting]) -> Mapping[str, Setting]:
    own = given.get("relative_step") or given.get("warmup_init")
    return given if own or optimizer != "Adafactor" else {**_ADAFACTOR, **given}


def _literals(arguments: Mapping[str, Setting]) -> list[str]:
    """Write arguments as Python literals, which is how sd-scripts reads these."""
    return [f"{name}={value!r}" for name, value in arguments.items()]
