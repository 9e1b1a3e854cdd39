"""Options that have no effect or a bad one, on any machine: sd-scripts takes them, and few read its log."""

from __future__ import annotations

from typing import Final

from components.kohya.rules.situation import WARNING, Rule, Situation


def _attention(s: Situation) -> list[str]:
    return [name for name in ("mem_eff_attn", "xformers", "sdpa") if getattr(s.o, name)]


def _has_own_rate(s: Situation) -> bool:
    return s.optimizer == "Prodigy" or s.optimizer.startswith("DAdapt")


def _finds_rate(s: Situation) -> bool:
    return _has_own_rate(s) or s.relative_step


IGNORED: Final = (
    Rule(
        "clip-skip",
        "clip_skip",
        lambda s: s.o.clip_skip is not None,
        "SDXL always takes the last layer but one; it has no effect",
        "leave it out",
        WARNING,
    ),
    Rule(
        "zero-snr",
        "zero_terminal_snr",
        lambda s: s.o.zero_terminal_snr and not s.o.v_parameterization,
        "without v-prediction a model cannot learn from pure noise",
        "leave it out",
        WARNING,
    ),
    Rule(
        "two-attentions",
        "sdpa",
        lambda s: len(_attention(s)) > 1,
        "of mem_eff_attn, xformers and sdpa only the first that is set is used",
        "keep one, best sdpa",
        WARNING,
    ),
    Rule(
        "plain-attention",
        "sdpa",
        lambda s: not _attention(s),
        "plain attention needs far more VRAM and time",
        "set sdpa",
        WARNING,
    ),
    Rule(
        "ignored-folders",
        "train_data_dir",
        lambda s: s.o.dataset_config and (s.o.train_data_dir or s.o.reg_data_dir or s.o.in_json),
        "dataset_config is given, so train_data_dir, reg_data_dir and in_json have no effect",
        "leave them out",
        WARNING,
    ),
    Rule(
        "epochs-and-steps",
        "max_train_steps",
        lambda s: "max_train_steps" in s.given and s.o.max_train_epochs,
        "max_train_epochs is given too, and decides",
        "leave one out",
        WARNING,
    ),
    Rule(
        "default-steps",
        "max_train_epochs",
        lambda s: "max_train_steps" not in s.given and not s.o.max_train_epochs,
        "without it sd-scripts trains 1600 steps, whatever the dataset",
        "set it",
        WARNING,
    ),
    Rule(
        "full-precision",
        "mixed_precision",
        lambda s: s.o.mixed_precision == "no",
        "without it everything is computed in fp32: twice the VRAM, and slow",
        "set bf16",
        WARNING,
    ),
    Rule(
        "frozen-unet",
        "learning_rate",
        lambda s: s.full and s.o.learning_rate == 0,
        "0 freezes the U-Net",
        "set such as 1e-6, unless only text encoders shall learn",
        WARNING,
    ),
    Rule(
        "default-rate",
        "learning_rate",
        lambda s: not s.full and "learning_rate" not in s.given and s.o.unet_lr is None,
        "the parser's default of 2e-6 is far too low for a LoRA",
        "set such as 1e-4",
        WARNING,
    ),
    Rule(
        "high-rate",
        "learning_rate",
        lambda s: not _finds_rate(s) and s.o.learning_rate >= (5e-5 if s.full else 5e-3),
        "at {o.learning_rate:g} the model soon forgets what it knows",
        "a full fine-tune takes about 5e-6, a LoRA 1e-4",
        WARNING,
    ),
    Rule(
        "low-rate",
        "learning_rate",
        lambda s: not (s.full or _finds_rate(s) or s.o.unet_lr) and 0 < s.o.learning_rate <= 5e-6,
        "at {o.learning_rate:g}, a rate for full fine-tunes, a LoRA learns next to nothing",
        "set such as 1e-4",
        WARNING,
    ),
    Rule(
        "own-rate",
        "learning_rate",
        lambda s: _has_own_rate(s) and s.o.learning_rate <= 0.1,
        "{s.optimizer} multiplies its own rate by this one, and wants about 1.0",
        "set 1.0",
        WARNING,
    ),
    Rule(
        "untrained-text-rates",
        "learning_rate_te1",
        lambda s: (
            s.full
            and not s.o.train_text_encoder
            and (s.o.learning_rate_te1 is not None or s.o.learning_rate_te2 is not None)
        ),
        "the text encoders are not trained, so their learning rates have no effect",
        "leave them out, or set train_text_encoder",
        WARNING,
    ),
    Rule(
        "text-encoders-adapted",
        "network_train_unet_only",
        lambda s: not s.full and not s.o.network_train_unet_only and s.o.text_encoder_lr is None,
        "both text encoders are trained too, at the U-Net's rate; for SDXL sd-scripts advises against it",
        "set network_train_unet_only, or give them a lower text_encoder_lr",
        WARNING,
    ),
    Rule(
        "untrained-text-rate",
        "text_encoder_lr",
        lambda s: not s.full and s.o.network_train_unet_only and s.o.text_encoder_lr,
        "the LoRA trains no text encoder, so their rate has no effect",
        "leave it out, or leave out network_train_unet_only",
        WARNING,
    ),
    Rule(
        "high-alpha",
        "network_alpha",
        lambda s: not s.full and (s.o.network_alpha or 1) > 2 * (s.o.network_dim or 4),
        "the LoRA is scaled by {o.network_alpha:g}/{o.network_dim}, so that its steps overshoot",
        "set half of network_dim or the same",
        WARNING,
    ),
    Rule(
        "default-alpha",
        "network_alpha",
        lambda s: not s.full and "network_alpha" not in s.given and (s.o.network_dim or 4) > 1,
        "its default of 1 scales the LoRA by 1/network_dim",
        "set it to half of network_dim or to the same",
        WARNING,
    ),
    Rule(
        "replaced-rate",
        "optimizer_args",
        lambda s: s.relative_step and {"learning_rate", "lr_scheduler", "unet_lr"} & set(s.given),
        "Adafactor finds its own learning rate: learning_rate, unet_lr and lr_scheduler are replaced",
        "add relative_step=False scale_parameter=False warmup_init=False to keep yours",
        WARNING,
    ),
    Rule(
        "replaced-scheduler",
        "lr_scheduler",
        lambda s: s.optimizer.endswith("ScheduleFree") and "lr_scheduler" in s.given,
        "{s.optimizer} needs no schedule: lr_scheduler and its warmup have no effect",
        "leave it out",
        WARNING,
    ),
    Rule(
        "no-decay",
        "lr_decay_steps",
        lambda s: s.o.lr_scheduler == "warmup_stable_decay" and not s.o.lr_decay_steps,
        "scheduler warmup_stable_decay never decays without it",
        "set it, for example to 0.2",
        WARNING,
    ),
    Rule(
        "fused-without-use",
        "fused_backward_pass",
        lambda s: not s.full and s.o.fused_backward_pass,
        "it has no effect on a LoRA",
        "leave it out",
        WARNING,
    ),
    Rule(
        "fp8-without-use",
        "fp8_base",
        lambda s: s.full and s.o.fp8_base,
        "it has no effect on a full fine-tune",
        "leave it out",
        WARNING,
    ),
    Rule(
        "bf16-rounding",
        "full_bf16",
        lambda s: s.full and s.o.full_bf16 and not (s.optimizer == "Adafactor" and s.o.fused_backward_pass),
        "only fused Adafactor rounds stochastically: with another optimizer small updates vanish in bf16",
        "take Adafactor with fused_backward_pass, or leave full_bf16 out",
        WARNING,
    ),
    Rule(
        "fp16-rounding",
        "full_fp16",
        lambda s: s.full and s.o.full_fp16,
        "updates at a fine-tune's learning rates vanish in fp16, or overflow",
        "leave it out; on little VRAM take full_bf16 with Adafactor and fused_backward_pass",
        WARNING,
    ),
    Rule(
        "half-vae",
        "no_half_vae",
        lambda s: s.o.mixed_precision == "fp16" and not s.o.no_half_vae and not s.o.vae,
        "SDXL's own VAE overflows in fp16: latents become NaN, and so does the loss",
        "set it, or name sdxl-vae-fp16-fix as vae",
        WARNING,
    ),
    Rule(
        "keeps-steps",
        "save_last_n_steps",
        lambda s: s.o.save_every_n_steps and 0 < (s.o.save_last_n_steps or 0) < s.o.save_every_n_steps,
        "it counts steps, not files: {o.save_last_n_steps} is less than the distance of two saves",
        "set a multiple of save_every_n_steps",
        WARNING,
    ),
    Rule(
        "keeps-all-states",
        "save_state",
        lambda s: (
            s.o.save_state
            and (s.o.save_every_n_epochs or s.o.save_every_n_steps)
            and not any(
                (
                    s.o.save_last_n_epochs_state,
                    s.o.save_last_n_steps_state,
                    s.o.save_last_n_epochs,
                    s.o.save_last_n_steps,
                )
            )
        ),
        "every state is kept, each as large as the training itself, until the disk is full",
        "set save_last_n_epochs_state to 1",
        WARNING,
    ),
    Rule(
        "mask-without-masks",
        "masked_loss",
        lambda s: (
            s.o.masked_loss and not any(each.alpha_mask or each.conditioning_data_dir for each in s.subsets)
        ),
        "no subset has masks, so it has no effect",
        "set alpha_mask in a subset, or leave it out",
        WARNING,
    ),
    Rule(
        "skips-too-much",
        "skip_until_initial_step",
        lambda s: s.o.skip_until_initial_step and s.o.gradient_accumulation_steps > 1,
        "with gradient accumulation it counts twice and may skip too much",
        "leave it out and begin at an epoch with initial_epoch",
        WARNING,
    ),
)
