"""Options that do not go together, on any machine: sd-scripts stops, mostly after paid minutes of loading."""

from __future__ import annotations

from typing import Final

from components.kohya.rules.situation import Rule, Situation

_HALVES: Final = ("fp16", "bf16")
_SECRETS: Final = ("huggingface_token", "wandb_api_key")
_MODES: Final = ("config_file", "output_config", "debug_dataset")


def _scheduler_given(s: Situation, key: str) -> bool:
    return any(str(item).startswith(f"{key}=") for item in s.o.lr_scheduler_args or ())


def _wrong_block_rates(s: Situation) -> bool:
    parts = str(s.o.block_lr).split(",")
    try:
        return len([float(part) for part in parts]) != 23
    except ValueError:
        return True


def _warmup_without_use(s: Situation) -> bool:
    if not s.o.lr_warmup_steps or s.optimizer.endswith("ScheduleFree") or s.relative_step:
        return False
    name = str(s.o.lr_scheduler)
    return bool(s.o.lr_scheduler_type) or name == "constant" or name.startswith("adafactor")


REFUSED: Final = (
    Rule(
        "full-fp16",
        "full_fp16",
        lambda s: s.o.full_fp16 and s.o.mixed_precision != "fp16",
        "weights in fp16 need mixed_precision fp16, and it is {o.mixed_precision}",
        "set mixed_precision fp16, or leave full_fp16 out",
    ),
    Rule(
        "full-bf16",
        "full_bf16",
        lambda s: s.o.full_bf16 and s.o.mixed_precision != "bf16",
        "weights in bf16 need mixed_precision bf16, and it is {o.mixed_precision}",
        "set mixed_precision bf16, or leave full_bf16 out",
    ),
    Rule(
        "fp8-precision",
        "fp8_base",
        lambda s: not s.full and (s.o.fp8_base or s.o.fp8_base_unet) and s.o.mixed_precision not in _HALVES,
        "a base model in fp8 needs mixed_precision fp16 or bf16",
        "set mixed_precision bf16",
    ),
    Rule(
        "text-cached-and-changing",
        "cache_text_encoder_outputs",
        lambda s: s.text_cached and s.captions_change,
        "captions that are encoded once cannot be shuffled, dropped or warmed up",
        "leave the cache out, or shuffle_caption, caption_dropout_rate, caption_tag_dropout_rate and "
        "token_warmup_step",
    ),
    Rule(
        "text-cached-and-trained",
        "cache_text_encoder_outputs",
        lambda s: s.full and s.text_cached and s.o.train_text_encoder,
        "text encoders whose outputs are cached cannot be trained",
        "leave out one of cache_text_encoder_outputs and train_text_encoder",
    ),
    Rule(
        "text-cached-and-adapted",
        "cache_text_encoder_outputs",
        lambda s: not s.full and s.text_cached and not s.o.network_train_unet_only,
        "the LoRA would train text encoders whose outputs are cached",
        "set network_train_unet_only, or leave the cache out",
    ),
    Rule(
        "text-cached-and-weighted",
        "weighted_captions",
        lambda s: s.full and s.text_cached and s.o.weighted_captions,
        "sdxl_train.py takes no weights in captions that it encodes once",
        "leave out one of weighted_captions and cache_text_encoder_outputs",
    ),
    Rule(
        "latents-cached-and-changing",
        "cache_latents",
        lambda s: s.latents_cached and any(each.color_aug or each.random_crop for each in s.subsets),
        "images that are encoded once cannot change their colours or be cropped at random",
        "leave the cache out, or color_aug and random_crop",
    ),
    Rule(
        "fused-optimizer",
        "fused_backward_pass",
        lambda s: s.o.fused_backward_pass and s.optimizer != "Adafactor",
        "only Adafactor can step inside the backward pass, and the optimizer is {s.optimizer}",
        "take optimizer Adafactor, or leave fused_backward_pass out",
    ),
    Rule(
        "fused-accumulation",
        "fused_backward_pass",
        lambda s: s.o.fused_backward_pass and s.o.gradient_accumulation_steps != 1,
        "an optimizer that steps inside the backward pass cannot gather gradients over several batches",
        "set gradient_accumulation_steps to 1, or leave fused_backward_pass out",
    ),
    Rule(
        "fused-fp16",
        "fused_backward_pass",
        lambda s: s.full and s.o.fused_backward_pass and s.o.mixed_precision == "fp16",
        "fp16's scaled gradients are scaled back once for all weights, and here each steps alone: the first "
        "step fails",
        "set mixed_precision bf16, or leave fused_backward_pass out",
    ),
    Rule(
        "block-rates",
        "block_lr",
        lambda s: s.o.block_lr and _wrong_block_rates(s),
        "SDXL's U-Net has 23 blocks, and each needs its learning rate",
        "write 23 numbers with commas between",
    ),
    Rule(
        "sd2",
        "v2",
        lambda s: s.o.v2,
        "it means Stable Diffusion 2, which the SDXL scripts refuse",
        "leave it out",
    ),
    Rule(
        "adaptive-noise",
        "adaptive_noise_scale",
        lambda s: s.o.adaptive_noise_scale is not None and s.o.noise_offset is None,
        "it is added to a noise offset, and there is none",
        "set noise_offset too",
    ),
    Rule(
        "v-loss-scaled",
        "scale_v_pred_loss_like_noise_pred",
        lambda s: s.o.scale_v_pred_loss_like_noise_pred and not s.o.v_parameterization,
        "it is only for models with v-prediction",
        "leave it out, or set v_parameterization for such a model",
    ),
    Rule(
        "v-loss-added",
        "v_pred_like_loss",
        lambda s: s.o.v_pred_like_loss and s.o.v_parameterization,
        "it is not for models with v-prediction",
        "leave out one of v_pred_like_loss and v_parameterization",
    ),
    Rule(
        "optimizer-twice",
        "optimizer_type",
        lambda s: sum(map(bool, (s.o.use_8bit_adam, s.o.use_lion_optimizer, s.o.optimizer_type))) > 1,
        "use_8bit_adam and use_lion_optimizer are old ways of choosing the optimizer, and it is chosen twice",
        "keep optimizer_type alone",
    ),
    Rule(
        "constant-warmup",
        "lr_warmup_steps",
        _warmup_without_use,
        "scheduler {o.lr_scheduler} has no warmup, and sd-scripts stops after loading the model",
        "take constant_with_warmup, or leave the warmup out",
    ),
    Rule(
        "relative-warmup",
        "lr_warmup_steps",
        lambda s: s.o.lr_warmup_steps and s.relative_step,
        "Adafactor finds its own learning rate and replaces the scheduler by one without warmup",
        "add relative_step=False to optimizer_args, or leave the warmup out",
    ),
    Rule(
        "adafactor-scheduler",
        "lr_scheduler",
        lambda s: str(s.o.lr_scheduler).startswith("adafactor:") and s.optimizer != "Adafactor",
        "this scheduler works with optimizer Adafactor only, and the optimizer is {s.optimizer}",
        "take another scheduler, such as constant_with_warmup",
    ),
    Rule(
        "no-least-rate",
        "lr_scheduler_min_lr_ratio",
        lambda s: (
            s.o.lr_scheduler == "cosine_with_min_lr"
            and s.o.lr_scheduler_min_lr_ratio is None
            and not _scheduler_given(s, "min_lr")
        ),
        "scheduler cosine_with_min_lr needs the rate that it ends with",
        "set it, for example to 0.1",
    ),
    Rule(
        "no-step-rules",
        "lr_scheduler_args",
        lambda s: s.o.lr_scheduler == "piecewise_constant" and not _scheduler_given(s, "step_rules"),
        "scheduler piecewise_constant needs its steps",
        "add such as step_rules='1:1000,0.1'",
    ),
    Rule(
        "no-logging-folder",
        "logging_dir",
        lambda s: s.o.log_with in ("tensorboard", "all") and not s.o.logging_dir,
        "log_with {o.log_with} needs a folder",
        "set logging_dir, or leave log_with out",
    ),
    Rule(
        "no-wandb",
        "log_with",
        lambda s: s.o.log_with in ("wandb", "all") and "wandb" not in s.packages,
        "wandb is not among sd-scripts' requirements, and the training stops where it is not installed",
        "set log_with tensorboard, or add wandb to packages",
    ),
    Rule(
        "no-xformers",
        "xformers",
        lambda s: s.o.xformers and not s.o.mem_eff_attn and "xformers" not in s.packages,
        "xformers is not among sd-scripts' requirements, and the training stops where it is not installed",
        "use sdpa, which is part of torch and as good",
    ),
    Rule(
        "no-deepspeed",
        "deepspeed",
        lambda s: s.o.deepspeed and "deepspeed" not in s.packages,
        "deepspeed is not among sd-scripts' requirements, and the training stops without it",
        "leave it out; a larger GPU is cheaper than its pitfalls",
    ),
    Rule(
        "no-prompts",
        "sample_prompts",
        lambda s: s.previews and not s.o.sample_prompts,
        "the training stops at the first preview, since there are no prompts for it",
        "set sample_prompts, or leave sample_every_n_epochs, sample_every_n_steps and sample_at_first out",
    ),
    Rule(
        "prompt-format",
        "sample_prompts",
        lambda s: (
            s.previews
            and s.o.sample_prompts
            and not str(s.o.sample_prompts).endswith((".txt", ".toml", ".json"))
        ),
        "the training stops at the first preview: {o.sample_prompts} ends neither in .txt, .toml nor .json",
        "name a text file with one prompt a line",
    ),
    Rule(
        "no-network",
        "network_module",
        lambda s: not s.full and not s.o.network_module,
        "there is no network to train, which sd-scripts finds out after loading and caching",
        "set networks.lora",
    ),
    Rule(
        "nothing-to-train",
        "network_train_unet_only",
        lambda s: s.o.network_train_unet_only and s.o.network_train_text_encoder_only,
        "U-Net only and text encoders only leave nothing to train",
        "keep one of network_train_unet_only and network_train_text_encoder_only",
    ),
    Rule(
        "no-weights-for-rank",
        "dim_from_weights",
        lambda s: s.o.dim_from_weights and not s.o.network_weights,
        "the rank is to come from a file that is not named",
        "set network_weights too",
    ),
    Rule(
        "no-output-folder",
        "output_dir",
        lambda s: not s.o.output_dir,
        "the training stops at its first save and is lost",
        "set it",
    ),
    Rule(
        "no-workers",
        "persistent_data_loader_workers",
        lambda s: s.o.persistent_data_loader_workers and s.o.max_data_loader_n_workers == 0,
        "there are no loader processes to keep",
        "set max_data_loader_n_workers to 1 or more, or leave it out",
    ),
    Rule(
        "begins-after-its-end",
        "initial_epoch",
        lambda s: s.o.initial_epoch and s.o.max_train_epochs and s.o.initial_epoch > s.o.max_train_epochs,
        "the training would begin in epoch {o.initial_epoch} of {o.max_train_epochs}: it is done",
        "raise max_train_epochs to train on",
    ),
    Rule(
        "no-training",
        "config_file",
        lambda s: any(getattr(s.o, name) for name in _MODES),
        "with config_file a misspelt option is silently ignored; with output_config and debug_dataset "
        "nothing is trained",
        "leave config_file, output_config and debug_dataset out",
    ),
    Rule(
        "secret-on-command-line",
        "huggingface_token",
        lambda s: any(getattr(s.o, name) for name in _SECRETS),
        "everyone on the machine can read huggingface_token and wandb_api_key in its list of processes",
        "give HF_TOKEN or WANDB_API_KEY in the environment instead",
    ),
)
