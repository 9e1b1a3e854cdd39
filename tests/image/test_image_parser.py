"""The command line and the configuration file, as the real parsers treat them."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from library.parser import int_or_float

if TYPE_CHECKING:
    from image_machine import Trainer


@pytest.mark.parametrize(
    ("script", "more", "message"),
    [
        ("sdxl_train.py", ("--network_dim", "32"), "error: unrecognized arguments: --network_dim 32"),
        (
            "sdxl_train.py",
            ("--prior_loss_weight", "1"),
            "error: unrecognized arguments: --prior_loss_weight 1",
        ),
        ("sdxl_train.py", ("--initial_epoch", "2"), "error: unrecognized arguments: --initial_epoch 2"),
        (
            "sdxl_train_network.py",
            ("--learning_rate_te1", "1"),
            "error: unrecognized arguments: --learning_rate_te1 1",
        ),
        (
            "sdxl_train_network.py",
            ("--max_token_length", "75"),
            "error: argument --max_token_length: invalid choice: 75",
        ),
        (
            "sdxl_train_network.py",
            ("--mixed_precision", "fp8"),
            "error: argument --mixed_precision: invalid choice: 'fp8'",
        ),
        (
            "sdxl_train_network.py",
            ("--save_precision", "fp32"),
            "error: argument --save_precision: invalid choice: 'fp32'",
        ),
        (
            "sdxl_train_network.py",
            ("--save_model_as", "diffusers"),
            "error: argument --save_model_as: invalid choice",
        ),
        (
            "sdxl_train_network.py",
            ("--sdpa=true",),
            "error: argument --sdpa: ignored explicit argument 'true'",
        ),
        ("sdxl_train_network.py", ("--seed", "x"), "error: argument --seed: invalid int value: 'x'"),
        (
            "sdxl_train_network.py",
            ("--lr_warmup_steps", "x"),
            "error: argument --lr_warmup_steps: 'x' is not an int or float",
        ),
        (
            "sdxl_train_network.py",
            ("--cache", "x"),
            "error: ambiguous option: --cache could match --cache_info,",
        ),
    ],
)
def test_a_wrong_option_exits_with_two_before_anything_else(
    trainer: Trainer, script: str, more: tuple[str, ...], message: str
) -> None:
    done = trainer.run(script, *more)

    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: {script} [-h]")
    assert message in done.stderr.splitlines()[-1]


def test_prefixes_of_options_are_enough(trainer: Trainer) -> None:
    assert trainer.lora("--mixed", "bf16", "--max_train_ep", "1").returncode == 0


def test_warmup_below_one_is_a_share_and_from_one_a_number() -> None:
    assert int_or_float("0.1") == 0.1
    assert int_or_float("10%") == 0.1
    assert int_or_float("100") == 100
    assert isinstance(int_or_float("1"), int)


def test_a_config_file_is_flattened_loses_to_the_command_line_and_hides_typos(trainer: Trainer) -> None:
    file = trainer.machine.write(
        "run.toml",
        f'[model]\npretrained_model_name_or_path = "{trainer.base}"\n[saving]\noutput_name = "from_file"\n'
        'no_such_option = 1\n[training]\nmax_train_epochs = 1\nseed = 5\nmixed_precision = "bf16"\n',
    )
    without = ("pretrained_model_name_or_path", "max_train_epochs", "seed", "mixed_precision")
    done = trainer.lora("--config_file", file, without=without)

    assert done.returncode == 0
    assert f"Loading settings from {file}..." in done.stderr
    assert "epoch 1/1" in done.stdout
    assert (trainer.output / "cat.safetensors").exists()


def test_choices_are_not_enforced_for_a_config_file(trainer: Trainer) -> None:
    file = trainer.machine.write("run.toml", 'loss_type = "nonsense"\n')

    assert trainer.lora("--config_file", str(file).removesuffix(".toml")).returncode == 0


def test_a_missing_config_file_exits_with_one(trainer: Trainer) -> None:
    done = trainer.lora("--config_file", "nowhere")

    assert done.returncode == 1
    assert "nowhere.toml not found." in done.stderr


def test_output_config_writes_what_differs_from_the_defaults_and_never_overwrites(trainer: Trainer) -> None:
    done = trainer.lora("--output_config", "--config_file", "saved", "--text_encoder_lr", "1e-5", "2e-5")
    assert done.returncode == 0
    saved = tomllib.loads((trainer.home / "saved.toml").read_text())
    assert saved["network_dim"] == 32
    assert saved["sdpa"] is True
    assert saved["text_encoder_lr"] == [1e-5, 2e-5]
    assert "max_train_steps" not in saved

    assert trainer.lora("--output_config", "--config_file", "saved").returncode == 1
    assert trainer.run("sdxl_train_network.py", "--config_file", "saved").returncode == 0


def test_tokenizers_come_from_the_hub_once(trainer: Trainer) -> None:
    offline = {"HF_HUB_OFFLINE": "1"}
    done = trainer.lora(env=offline)
    assert done.returncode == 1
    assert "OSError: We couldn't connect to 'https://huggingface.co' to load the files" in done.stderr

    cache = trainer.home / "tokenizers"
    first = trainer.lora("--tokenizer_cache_dir", cache)
    assert f"save Tokenizer to cache: {cache}/openai_clip-vit-large-patch14" in first.stderr
    again = trainer.lora("--tokenizer_cache_dir", cache, env=offline)
    assert again.returncode == 0
    assert f"load tokenizer from cache: {cache}/openai_clip-vit-large-patch14" in again.stderr


def test_secrets_on_the_command_line_are_warned_of_when_wandb_would_show_them(trainer: Trainer) -> None:
    done = trainer.lora("--log_with", "wandb", "--wandb_api_key", "k")

    assert "wandb is enabled, but option `wandb_api_key` is included in the command line." in done.stderr
