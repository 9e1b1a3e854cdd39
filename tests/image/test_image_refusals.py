"""What the trainer refuses, with the exception of the real one, and at the moment of the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from image_machine import Trainer

CACHES = ("cache_latents", "cache_text_encoder_outputs")
MODEL_LOADED = "VAE: <All keys matched successfully>"
CACHED = "caching latents..."


def last_line(stderr: str) -> str:
    """The exception, without what tqdm draws when Python ends."""
    lines = stderr.rpartition("Traceback (most recent call last):\n")[2].splitlines()
    return next(line for line in lines if not line.startswith("  "))


BEFORE_LOADING = [
    (("--adaptive_noise_scale", "0.1"), (), "ValueError: adaptive_noise_scale requires noise_offset"),
    (
        ("--scale_v_pred_loss_like_noise_pred",),
        (),
        "ValueError: scale_v_pred_loss_like_noise_pred can be enabled",
    ),
    (
        ("--v_parameterization", "--v_pred_like_loss", "0.5"),
        (),
        "ValueError: v_pred_like_loss cannot be enabled",
    ),
    (("--v2",), (), "AssertionError: v2 cannot be enabled in SDXL training"),
    (("--full_fp16",), (), "AssertionError: full_fp16 requires mixed precision='fp16'"),
    (
        ("--full_bf16", "--mixed_precision", "no"),
        (),
        "AssertionError: full_bf16 requires mixed precision='bf16'",
    ),
    (("--log_with", "tensorboard"), (), "ValueError: logging_dir is required when log_with is tensorboard"),
    (("--log_with", "wandb"), (), "ImportError: No wandb"),
    (
        (),
        ("network_train_unet_only",),
        "AssertionError: network for Text Encoder cannot be trained with caching",
    ),
]


@pytest.mark.parametrize(
    ("more", "without", "message"), BEFORE_LOADING, ids=[case[2][:48] for case in BEFORE_LOADING]
)
def test_a_lora_is_refused_before_the_model_is_loaded(
    trainer: Trainer, more: tuple[str, ...], without: tuple[str, ...], message: str
) -> None:
    done = trainer.lora(*more, without=without)

    assert done.returncode == 1
    assert last_line(done.stderr).startswith(message)
    assert "load StableDiffusion checkpoint" not in done.stderr


AFTER_CACHING = [
    ((), ("network_module",), "AttributeError: 'NoneType' object has no attribute 'startswith'"),
    (("--network_module", "networks.nope"), (), "ModuleNotFoundError: No module named 'networks.nope'"),
    (("--network_module", "lycoris.kohya"), (), "ModuleNotFoundError: No module named 'lycoris'"),
    (("--network_args", "conv_dim"), (), "ValueError: not enough values to unpack (expected 2, got 1)"),
    (
        ("--network_args", "block_dims=4,4"),
        (),
        "AssertionError: block_dims must have 23 elements but 2 elements",
    ),
    (("--optimizer_type", "adamw8"), (), "AttributeError: module 'torch.optim' has no attribute 'adamw8'"),
    (("--optimizer_type", "DAdaptAdam"), (), "ImportError: No dadaptation"),
    (("--optimizer_args", "weight_decay=true"), (), "ValueError: malformed node or string"),
    (("--optimizer_args", "betas"), (), "ValueError: not enough values to unpack"),
    (("--lr_scheduler", "cosine_warmup"), (), "ValueError: 'cosine_warmup' is not a valid SchedulerType"),
    (
        ("--lr_warmup_steps", "10"),
        (),
        "ValueError: SchedulerType.CONSTANT does not require `num_warmup_steps`.",
    ),
    (
        ("--optimizer_type", "Adafactor", "--lr_scheduler", "cosine", "--lr_warmup_steps", "10"),
        (),
        "ValueError: adafactor:0.0001 does not require `num_warmup_steps`. Set None or 0.",
    ),
    (("--use_8bit_adam",), (), "AssertionError: both option use_8bit_adam and optimizer_type are specified"),
    (
        ("--use_8bit_adam", "--use_lion_optimizer"),
        ("optimizer_type",),
        "AssertionError: both option use_8bit_adam and use_lion_optimizer are specified",
    ),
    (
        ("--fused_backward_pass",),
        (),
        "AssertionError: fused_backward_pass currently only works with optimizer_type",
    ),
    (
        ("--fused_backward_pass", "--optimizer_type", "Adafactor", "--gradient_accumulation_steps", "2"),
        (),
        "AssertionError: fused_backward_pass does not work with gradient_accumulation_steps > 1",
    ),
    (
        ("--fp8_base", "--mixed_precision", "no"),
        (),
        "AssertionError: fp8_base requires mixed precision='fp16' or",
    ),
    (
        ("--max_data_loader_n_workers", "0", "--persistent_data_loader_workers"),
        (),
        "ValueError: persistent_workers option needs num_workers > 0",
    ),
]


@pytest.mark.parametrize(
    ("more", "without", "message"), AFTER_CACHING, ids=[case[2][:48] for case in AFTER_CACHING]
)
def test_a_lora_is_refused_after_the_caching_has_been_paid_for(
    trainer: Trainer, more: tuple[str, ...], without: tuple[str, ...], message: str
) -> None:
    done = trainer.lora(*more, without=without)

    assert done.returncode == 1
    assert last_line(done.stderr).startswith(message)
    assert MODEL_LOADED in done.stderr
    assert CACHED in done.stderr


FULL = [
    (
        ("--train_text_encoder",),
        (),
        "AssertionError: cache_text_encoder_outputs is not supported when training",
    ),
    (("--weighted_captions",), (), "AssertionError: weighted_captions is not supported when caching"),
    (("--block_lr", "1e-5,1e-5"), (), "AssertionError: block_lr must have 23 values"),
    (("--optimizer_type", "AdamW"), (), "AssertionError: fused_backward_pass currently only works"),
]


@pytest.mark.parametrize(("more", "without", "message"), FULL, ids=[case[2][:48] for case in FULL])
def test_full_fine_tuning_is_refused(
    trainer: Trainer, more: tuple[str, ...], without: tuple[str, ...], message: str
) -> None:
    done = trainer.full(*more, without=without)

    assert done.returncode == 1
    assert last_line(done.stderr).startswith(message)


DATASETS: list[tuple[dict[str, str], tuple[str, ...], str]] = [
    ({"subset": "shuffle_caption = true"}, (), "AssertionError: when caching Text Encoder output, either"),
    (
        {"subset": "caption_dropout_rate = 0.1"},
        (),
        "AssertionError: when caching Text Encoder output, either",
    ),
    (
        {"subset": "caption_tag_dropout_rate = 0.1"},
        (),
        "AssertionError: when caching Text Encoder output, either",
    ),
    ({"subset": "token_warmup_step = 10"}, (), "AssertionError: when caching Text Encoder output, either"),
    (
        {"subset": "color_aug = true"},
        (),
        "AssertionError: when caching latents, either color_aug or random_crop",
    ),
    (
        {"subset": "random_crop = true"},
        (),
        "AssertionError: when caching latents, either color_aug or random_crop",
    ),
    (
        {"text": "enable_bucket = true\nbucket_reso_steps = 48"},
        (),
        "AssertionError: bucket_reso_steps is 48. it must be",
    ),
    (
        {"text": "enable_bucket = true\nmin_bucket_reso = 2048\nmax_bucket_reso = 4096"},
        (),
        "AssertionError: min_bucket_reso",
    ),
]


@pytest.mark.parametrize(
    ("parts", "more", "message"), DATASETS, ids=[next(iter(case[0].values())) for case in DATASETS]
)
def test_a_dataset_is_refused(
    trainer: Trainer, parts: dict[str, str], more: tuple[str, ...], message: str
) -> None:
    trainer.dataset(**parts)
    done = trainer.lora(*more)

    assert done.returncode == 1
    assert last_line(done.stderr).startswith(message)
    assert "load StableDiffusion checkpoint" not in done.stderr


def test_a_resolution_above_the_default_max_bucket_reso_is_refused(trainer: Trainer) -> None:
    path = trainer.dataset(text="enable_bucket = true")
    path.write_text(path.read_text().replace("resolution = 1024", "resolution = 1280"))

    done = trainer.lora()
    assert last_line(done.stderr).startswith(
        "AssertionError: max_bucket_reso must be equal or greater than resolution"
    )


def test_no_resolution_anywhere_is_refused(trainer: Trainer) -> None:
    path = trainer.dataset()
    path.write_text(path.read_text().replace("resolution = 1024\n", ""))

    assert last_line(trainer.lora().stderr).startswith("AssertionError: resolution is required")
    assert trainer.lora("--resolution", "1024,1024").returncode == 0


def test_a_missing_output_dir_shows_only_at_the_first_save(trainer: Trainer) -> None:
    done = trainer.lora(without=("output_dir",))

    assert done.returncode == 1
    assert "20/20" in done.stderr
    assert last_line(done.stderr).startswith(
        "TypeError: expected str, bytes or os.PathLike object, not NoneType"
    )


def test_previews_without_prompts_end_the_run_at_the_first_preview(trainer: Trainer) -> None:
    done = trainer.lora("--sample_every_n_steps", "5")
    assert done.returncode == 1
    assert "5/20" in done.stderr
    assert last_line(done.stderr).startswith("TypeError: stat: path should be string")

    missing = trainer.lora("--sample_every_n_steps", "5", "--sample_prompts", "nowhere.txt")
    assert missing.returncode == 0
    assert "No prompt file / プロンプトファイルがありません: nowhere.txt" in missing.stderr


SILENT = [
    ("--network_args", "algo=lokr", "rank_dropout=0.0"),
    ("--clip_skip", "2"),
    ("--zero_terminal_snr",),
    ("--xformers", "--mem_eff_attn"),
    ("--cache_latents_to_disk",),
]


@pytest.mark.parametrize("more", SILENT, ids=[" ".join(more) for more in SILENT])
def test_what_the_real_trainer_lets_pass_passes(trainer: Trainer, more: tuple[str, ...]) -> None:
    assert trainer.lora(*more).returncode == 0


def test_xformers_that_is_not_installed_ends_the_run_after_loading(trainer: Trainer) -> None:
    done = trainer.lora("--xformers", without=("sdpa",))

    assert last_line(done.stderr).startswith("ImportError: No xformers")
    assert MODEL_LOADED in done.stderr


WRONG_MODELS: list[tuple[str, Callable[[Trainer], str], str]] = [
    (
        "sdxl_train_network.py",
        lambda trainer: str(trainer.machine.write("page.safetensors", "<!doctype html><html>" * 40)),
        "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
    ),
    (
        "sdxl_train_network.py",
        lambda trainer: str(trainer.machine.write("empty.safetensors", "")),
        "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooSmall",
    ),
    (
        "sdxl_train_network.py",
        lambda trainer: "/root/models/humanoid_05",
        "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name'",
    ),
    (
        "sdxl_train_network.py",
        lambda trainer: "nobody/nothing",
        "OSError: nobody/nothing is not a local folder",
    ),
    (
        "train_network.py",
        lambda trainer: str(trainer.base),
        "RuntimeError: Error(s) in loading state_dict for UNet2DConditionModel:",
    ),
]


@pytest.mark.parametrize(
    ("script", "model", "message"), WRONG_MODELS, ids=[case[2][:60] for case in WRONG_MODELS]
)
def test_a_wrong_model_is_refused_while_loading(
    trainer: Trainer, script: str, model: Callable[[Trainer], str], message: str
) -> None:
    without = CACHES if script == "train_network.py" else ()
    arguments = trainer.lora_arguments("--pretrained_model_name_or_path", model(trainer), without=without)
    done = trainer.run(script, *arguments)

    assert done.returncode == 1
    assert last_line(done.stderr).startswith(message)


def test_a_download_that_was_cut_off_is_no_model(trainer: Trainer) -> None:
    cut = trainer.home / "cut.safetensors"
    cut.write_bytes(trainer.base.open("rb").read(2_000_000))

    done = trainer.lora("--pretrained_model_name_or_path", cut)
    assert last_line(done.stderr).endswith("Error while deserializing header: MetadataIncompleteBuffer")


def test_an_sd1_model_is_no_sdxl_model(trainer: Trainer) -> None:
    url = "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/v1-5-pruned-emaonly.safetensors"
    trainer.machine.run("curl", "-sfLO", url)
    model = trainer.home / "v1-5-pruned-emaonly.safetensors"

    done = trainer.lora("--pretrained_model_name_or_path", model)
    assert last_line(done.stderr).startswith(
        "RuntimeError: Error(s) in loading state_dict for SdxlUNet2DConditionModel"
    )
    right = trainer.run(
        "train_network.py",
        *trainer.lora_arguments("--pretrained_model_name_or_path", model, without=CACHES[1:]),
    )
    assert right.returncode == 0


def test_a_package_that_is_missing_stops_the_import(trainer: Trainer) -> None:
    machine = trainer.machine
    machine.run("uv", "venv", "-q", "bare")
    done = machine.run("bare/bin/python", trainer.installed / "sd-scripts/sdxl_train_network.py")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'torch'"


def test_bf16_needs_a_card_that_has_it(trainer: Trainer) -> None:
    trainer.machine.with_gpus(("Tesla V100-SXM2-32GB", 32768))

    done = trainer.lora()
    assert (
        last_line(done.stderr)
        == "ValueError: bf16 mixed precision requires PyTorch >= 1.10 and a supported device."
    )


def test_a_driver_older_than_torch_shows_no_gpu(trainer: Trainer) -> None:
    trainer.machine.with_gpus(("NVIDIA A100-SXM4-80GB", 81920), driver="470.82.01", cuda="11.4")

    done = trainer.lora()
    assert done.returncode == 1
    assert "The NVIDIA driver on your system is too old (found version 11040)" in done.stderr
