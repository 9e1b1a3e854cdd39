"""For each rule a training that breaks it, and the nearest one that does not.

A training is the default one of fragua with some options changed; None takes an option away. `dataset`,
`subset` and `general` change the dataset configuration, `subsets` adds to it, and `gpus`, `interruptible`,
`packages` and `models` are the node.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from components.kohya.options import FULL, LORA, Script

NODE = ("gpus", "interruptible", "packages", "models")
FILE = ("dataset", "subset", "general", "subsets", "datasets")


class Case(NamedTuple):
    """A rule, the script, what breaks it and what does not."""

    rule: str
    script: Script
    broken: dict[str, Any]
    fine: dict[str, Any]


NO_TEXT_CACHE = {"cache_text_encoder_outputs": None, "cache_text_encoder_outputs_to_disk": None}
NO_LATENT_CACHE = {"cache_latents": None, "cache_latents_to_disk": None}
ADAFACTOR = {"optimizer_type": "Adafactor"}
FUSED = {
    "fused_backward_pass": True,
    "optimizer_type": "adafactor",
    "optimizer_args": ["relative_step=False"],
}
SAVED = {"interruptible": True, "save_state": True}
MASK = {"masked_loss": True}
REG = {"is_reg": True, "image_dir": "reg"}
ONE = {"image_dir": "images"}

CASES = [
    Case("full-fp16", LORA, {"full_fp16": True}, {"full_fp16": True, "mixed_precision": "fp16"}),
    Case("full-bf16", LORA, {"full_bf16": True, "mixed_precision": "fp16"}, {"full_bf16": True}),
    Case("fp8-precision", LORA, {"fp8_base": True, "mixed_precision": "no"}, {"fp8_base": True}),
    Case(
        "text-cached-and-changing",
        LORA,
        {"subset": {"caption_tag_dropout_rate": 0.1}},
        {"subset": {"caption_tag_dropout_rate": 0.1}, **NO_TEXT_CACHE},
    ),
    Case(
        "text-cached-and-trained",
        FULL,
        {"train_text_encoder": True},
        {"train_text_encoder": True, **NO_TEXT_CACHE},
    ),
    Case(
        "text-cached-and-adapted",
        LORA,
        {"network_train_unet_only": None, "cache_text_encoder_outputs": None},
        {"network_train_unet_only": None, **NO_TEXT_CACHE},
    ),
    Case(
        "text-cached-and-weighted",
        FULL,
        {"weighted_captions": True},
        {"weighted_captions": True, **NO_TEXT_CACHE},
    ),
    Case(
        "latents-cached-and-changing",
        LORA,
        {"general": {"color_aug": True}, "cache_latents": None},
        {"general": {"color_aug": True}, **NO_LATENT_CACHE},
    ),
    Case("fused-optimizer", FULL, {"fused_backward_pass": True}, FUSED),
    Case("fused-accumulation", FULL, {**FUSED, "gradient_accumulation_steps": 2}, FUSED),
    Case("fused-fp16", FULL, {**FUSED, "mixed_precision": "fp16"}, FUSED),
    Case("block-rates", FULL, {"block_lr": ",".join(["1e-6"] * 22)}, {"block_lr": ",".join(["1e-6"] * 23)}),
    Case("sd2", LORA, {"v2": True}, {"v2": None}),
    Case(
        "adaptive-noise",
        LORA,
        {"adaptive_noise_scale": 0.1},
        {"adaptive_noise_scale": 0.1, "noise_offset": 0.05},
    ),
    Case(
        "v-loss-scaled",
        LORA,
        {"scale_v_pred_loss_like_noise_pred": True},
        {"scale_v_pred_loss_like_noise_pred": True, "v_parameterization": True},
    ),
    Case(
        "v-loss-added",
        LORA,
        {"v_pred_like_loss": 0.5, "v_parameterization": True},
        {"v_pred_like_loss": 0.5},
    ),
    Case("optimizer-twice", LORA, {"use_8bit_adam": True}, {"use_8bit_adam": True, "optimizer_type": None}),
    Case(
        "constant-warmup",
        LORA,
        {"lr_scheduler": "constant", "lr_warmup_steps": 10},
        {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": 10},
    ),
    Case(
        "relative-warmup",
        LORA,
        {**ADAFACTOR, "lr_warmup_steps": "10%"},
        {**ADAFACTOR, "lr_warmup_steps": "10%", "optimizer_args": ["relative_step=False"]},
    ),
    Case(
        "adafactor-scheduler",
        LORA,
        {"lr_scheduler": "adafactor:1e-4"},
        {"lr_scheduler": "adafactor:1e-4", **ADAFACTOR},
    ),
    Case(
        "no-least-rate",
        LORA,
        {"lr_scheduler": "cosine_with_min_lr"},
        {"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_args": ["min_lr=1e-5"]},
    ),
    Case(
        "no-step-rules",
        LORA,
        {"lr_scheduler": "piecewise_constant"},
        {"lr_scheduler": "piecewise_constant", "lr_scheduler_args": ["step_rules='1:10,0.1'"]},
    ),
    Case("no-logging-folder", LORA, {"logging_dir": None}, {"logging_dir": None, "log_with": None}),
    Case("no-wandb", LORA, {"log_with": "all"}, {"log_with": "all", "packages": ["wandb"]}),
    Case("no-xformers", LORA, {"xformers": True}, {"xformers": True, "packages": ["xformers"]}),
    Case("no-deepspeed", LORA, {"deepspeed": True}, {"deepspeed": True, "packages": ["deepspeed"]}),
    Case("no-prompts", LORA, {"sample_every_n_steps": 100}, {"sample_every_n_steps": 0}),
    Case(
        "prompt-format",
        LORA,
        {"sample_at_first": True, "sample_prompts": "prompts"},
        {"sample_at_first": True, "sample_prompts": "prompts.txt"},
    ),
    Case("no-network", LORA, {"network_module": None}, {"network_module": "networks.dylora"}),
    Case(
        "nothing-to-train",
        LORA,
        {"network_train_text_encoder_only": True},
        {"network_train_text_encoder_only": True, "network_train_unet_only": None},
    ),
    Case(
        "no-weights-for-rank",
        LORA,
        {"dim_from_weights": True},
        {"dim_from_weights": True, "network_weights": "lora.safetensors"},
    ),
    Case("no-output-folder", LORA, {"output_dir": None}, {"output_dir": "o"}),
    Case("no-workers", LORA, {"max_data_loader_n_workers": 0}, {"max_data_loader_n_workers": 1}),
    Case("begins-after-its-end", LORA, {"initial_epoch": 3}, {"initial_epoch": 2}),
    Case("no-training", LORA, {"debug_dataset": True}, {}),
    Case("secret-on-command-line", LORA, {"wandb_api_key": "k"}, {"wandb_run_name": "k"}),
    Case("clip-skip", LORA, {"clip_skip": 2}, {}),
    Case(
        "zero-snr",
        LORA,
        {"zero_terminal_snr": True},
        {"zero_terminal_snr": True, "v_parameterization": True},
    ),
    Case("two-attentions", LORA, {"mem_eff_attn": True}, {"mem_eff_attn": True, "sdpa": None}),
    Case("plain-attention", LORA, {"sdpa": None}, {"sdpa": None, "mem_eff_attn": True}),
    Case("ignored-folders", LORA, {"reg_data_dir": "reg"}, {"reg_data_dir": "reg", "dataset_config": None}),
    Case("epochs-and-steps", LORA, {"max_train_steps": 9}, {"max_train_steps": 9, "max_train_epochs": None}),
    Case("default-steps", LORA, {"max_train_epochs": None}, {"max_train_epochs": None, "max_train_steps": 9}),
    Case("full-precision", LORA, {"mixed_precision": None}, {"mixed_precision": "fp16"}),
    Case("frozen-unet", FULL, {"learning_rate": 0}, {"learning_rate": 1e-9}),
    Case("default-rate", LORA, {"learning_rate": None}, {"learning_rate": None, "unet_lr": 1e-4}),
    Case(
        "untrained-text-rate",
        LORA,
        {"text_encoder_lr": [1e-5]},
        {"text_encoder_lr": [1e-5], "network_train_unet_only": None, **NO_TEXT_CACHE},
    ),
    Case("high-alpha", LORA, {"network_alpha": 128}, {"network_alpha": 64}),
    Case("high-rate", FULL, {"learning_rate": 1e-4}, {"learning_rate": 1e-5}),
    Case("low-rate", LORA, {"learning_rate": 1e-6}, {"learning_rate": 1e-6, "unet_lr": 1e-4}),
    Case(
        "own-rate", LORA, {"optimizer_type": "prodigy"}, {"optimizer_type": "prodigy", "learning_rate": 1.0}
    ),
    Case(
        "untrained-text-rates",
        FULL,
        {"learning_rate_te2": 1e-6},
        {"learning_rate_te2": 1e-6, "train_text_encoder": True},
    ),
    Case(
        "text-encoders-adapted",
        LORA,
        {"network_train_unet_only": None},
        {"network_train_unet_only": None, "text_encoder_lr": [1e-5]},
    ),
    Case("default-alpha", LORA, {"network_alpha": None}, {"network_alpha": None, "network_dim": 1}),
    Case("replaced-rate", LORA, ADAFACTOR, {**ADAFACTOR, "optimizer_args": ["relative_step=False"]}),
    Case(
        "replaced-scheduler",
        LORA,
        {"optimizer_type": "AdamWScheduleFree"},
        {"optimizer_type": "AdamWScheduleFree", "lr_scheduler": None},
    ),
    Case(
        "no-decay",
        LORA,
        {"lr_scheduler": "warmup_stable_decay"},
        {"lr_scheduler": "warmup_stable_decay", "lr_decay_steps": 0.2},
    ),
    Case("fused-without-use", LORA, FUSED, {}),
    Case("fp8-without-use", FULL, {"fp8_base": True}, {}),
    Case("bf16-rounding", FULL, {"full_bf16": True}, {"full_bf16": True, **FUSED}),
    Case("fp16-rounding", FULL, {"full_fp16": True, "mixed_precision": "fp16"}, {"mixed_precision": "fp16"}),
    Case(
        "half-vae",
        LORA,
        {"mixed_precision": "fp16", "no_half_vae": None},
        {"mixed_precision": "fp16", "no_half_vae": None, "vae": "sdxl-vae-fp16-fix.safetensors"},
    ),
    Case(
        "keeps-steps",
        LORA,
        {"save_every_n_steps": 100, "save_last_n_steps": 3},
        {"save_every_n_steps": 100, "save_last_n_steps": 300},
    ),
    Case("keeps-all-states", LORA, {"save_state": True}, {"save_state": True, "save_last_n_epochs_state": 1}),
    Case("mask-without-masks", LORA, MASK, {**MASK, "subset": {"alpha_mask": True}}),
    Case(
        "skips-too-much",
        LORA,
        {"skip_until_initial_step": True, "gradient_accumulation_steps": 2},
        {"skip_until_initial_step": True},
    ),
    Case("no-training-images", LORA, {"subset": {"is_reg": True}}, {"subsets": [REG]}),
    Case("no-folder", LORA, {"subsets": [{"num_repeats": 1}]}, {"subsets": [{"image_dir": "more"}]}),
    Case(
        "mixed-subsets",
        LORA,
        {"subsets": [{"metadata_file": "m.json", "image_dir": "more"}]},
        {"datasets": [{"resolution": 1024, "subsets": [{"metadata_file": "m.json", "image_dir": "more"}]}]},
    ),
    Case("repeated-folder", LORA, {"subsets": [ONE, ONE]}, {"subsets": [ONE, {"image_dir": "images2"}]}),
    Case(
        "no-resolution",
        LORA,
        {"dataset": {"resolution": None}},
        {"dataset": {"resolution": None}, "resolution": "1024,1024"},
    ),
    Case(
        "bucket-step",
        LORA,
        {"dataset": {"bucket_reso_steps": 48}},
        {"dataset": {"bucket_reso_steps": 48, "enable_bucket": False}},
    ),
    Case(
        "bucket-below-resolution",
        LORA,
        {"dataset": {"max_bucket_reso": None, "resolution": [1024, 1280]}},
        {"dataset": {"max_bucket_reso": 1220, "resolution": [1024, 1280]}},
    ),
    Case(
        "bucket-above-resolution",
        LORA,
        {"dataset": {"min_bucket_reso": 1088}},
        {"dataset": {"min_bucket_reso": 1087}},
    ),
    Case("no-repeats", LORA, {"subset": {"num_repeats": 0}}, {"subset": {"num_repeats": 1}}),
    Case("no-batch", LORA, {"dataset": {"batch_size": 0}}, {"dataset": {"batch_size": 1}}),
    Case(
        "buckets-without-bounds",
        LORA,
        {"dataset": {"bucket_no_upscale": True}},
        {"dataset": {"bucket_no_upscale": True, "min_bucket_reso": None, "max_bucket_reso": None}},
    ),
    Case(
        "default-caption-extension",
        LORA,
        {"subset": {"caption_extension": None}},
        {"subset": {"caption_extension": None}, "general": {"caption_extension": ".txt"}},
    ),
    Case(
        "extension-without-point",
        LORA,
        {"subset": {"caption_extension": "txt"}},
        {"subset": {"caption_extension": ".tags"}},
    ),
    Case(
        "dropout-of-cached-text",
        LORA,
        {"subset": {"caption_dropout_every_n_epochs": 2}},
        {"subset": {"caption_dropout_every_n_epochs": 2}, **NO_TEXT_CACHE},
    ),
    Case("regularisation-doubles-steps", LORA, {"subsets": [REG]}, {"subsets": [{"image_dir": "reg"}]}),
    Case("regularisation-without-weight", FULL, {"subsets": [REG]}, {"subsets": [{"image_dir": "reg"}]}),
    Case(
        "validation-without-use",
        FULL,
        {"dataset": {"validation_split": 0.1}},
        {"dataset": {"validation_split": 0.0}},
    ),
    Case(
        "validation-share",
        LORA,
        {"dataset": {"validation_split": 1.0}},
        {"dataset": {"validation_split": 0.9}},
    ),
    Case(
        "bf16-before-ampere",
        LORA,
        {"models": ("RTX 3090", "Tesla T4")},
        {"models": ("RTX 3090", "Tesla T4"), "mixed_precision": "fp16"},
    ),
    Case("several-gpus-fused", FULL, {"gpus": 2, **FUSED}, {"gpus": 1, **FUSED}),
    Case(
        "several-gpus-groups", FULL, {"gpus": 2, "fused_optimizer_groups": 4}, {"fused_optimizer_groups": 4}
    ),
    Case(
        "several-gpus-steps",
        LORA,
        {"gpus": 2, "max_train_steps": 9, "max_train_epochs": None},
        {"gpus": 2, "max_train_steps": 9},
    ),
    Case("several-gpus-memory", FULL, {"gpus": 2}, {"gpus": 2, "ddp_gradient_as_bucket_view": True}),
    Case("several-gpus-states", LORA, {"gpus": 2, "save_state": True}, {"save_state": True}),
    Case("interrupted-without-state", LORA, {"interruptible": True}, SAVED),
    Case(
        "interrupted-without-saves",
        LORA,
        {**SAVED, "save_every_n_epochs": None},
        {**SAVED, "save_every_n_epochs": None, "save_every_n_steps": 100},
    ),
    Case("interrupted-schedule", FULL, {**SAVED, "lr_scheduler": "cosine"}, SAVED),
    Case(
        "interrupted-fused-text",
        FULL,
        {**SAVED, **FUSED, **NO_TEXT_CACHE, "train_text_encoder": True},
        {**SAVED, **FUSED},
    ),
    Case("interrupted-groups", FULL, {**SAVED, "fused_optimizer_groups": 4}, {"fused_optimizer_groups": 4}),
    Case(
        "interrupted-warmup-of-tags",
        LORA,
        {**SAVED, **NO_TEXT_CACHE, "subset": {"token_warmup_step": 0.1}},
        {**NO_TEXT_CACHE, "subset": {"token_warmup_step": 0.1}},
    ),
    Case("interrupted-without-seed", LORA, {**SAVED, "seed": None}, {"seed": None}),
]
