"""A LoRA and a full fine-tuning from start to end: what they print, and what they leave behind."""

from __future__ import annotations

import itertools
import json
import re
import struct
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from image_machine import Trainer

BAR = re.compile(r"steps:\s+\d+%\|.*?\|\s*(\d+)/(\d+)\s*\[([\d:]+)<([\d:?]+),\s*([\d.?]+)(s/it|it/s)(.*?)\]")
AVERAGE = re.compile(r"avr_loss=(nan|inf|[\d.e+-]+)")


def header(path: Path) -> dict[str, Any]:
    """Read a safetensors header without the code under test, and check that the file is whole."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    table: dict[str, Any] = json.loads(data[8 : 8 + length])
    spans = sorted(entry["data_offsets"] for name, entry in table.items() if name != "__metadata__")
    assert spans[0][0] == 0
    assert all(left[1] == right[0] for left, right in itertools.pairwise(spans))
    assert 8 + length + spans[-1][1] == len(data)
    return table


def bars(stderr: str) -> list[re.Match[str]]:
    pieces = re.split(r"[\r\n]", stderr)
    return [match for piece in pieces if piece.startswith("steps:") and (match := BAR.match(piece))]


def test_a_lora_run_prints_what_the_real_trainer_prints(trainer: Trainer) -> None:
    done = trainer.lora()

    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "accelerator device: cuda",
        "import network module: networks.lora",
        "prepare optimizer, data loader etc.",
        "override steps. steps for 2 epochs is / 指定エポックまでのステップ数: 20",
        "running training / 学習開始",
        "  num train images * repeats / 学習画像の数×繰り返し回数: 20",
        "  num validation images * repeats / 学習画像の数×繰り返し回数: 0",
        "  num reg images / 正則化画像の数: 0",
        "  num batches per epoch / 1epochのバッチ数: 10",
        "  num epochs / epoch数: 2",
        "  batch size per device / バッチサイズ: 2",
        "  gradient accumulation steps / 勾配を合計するステップ数 = 1",
        "  total optimization steps / 学習ステップ数: 20",
        "",
        "epoch 1/2",
        "",
        "",
        "epoch 2/2",
        "",
        "",
        f"saving checkpoint: {trainer.output}/cat.safetensors",
    ]
    assert "create LoRA for U-Net: 722 modules." in done.stderr
    assert "create LoRA for Text Encoder: 264 modules." in done.stderr
    assert "model saved." in done.stderr


def test_printed_lines_come_with_the_next_bar_or_at_the_end(trainer: Trainer) -> None:
    command = trainer.machine.run(
        "/bin/bash",
        "-c",
        'exec "$@" 2>&1',
        "bash",
        trainer.installed / "venv/bin/python",
        trainer.installed / "sd-scripts/sdxl_train_network.py",
        *trainer.lora_arguments(),
    )

    places = [
        command.stdout.index(text)
        for text in (
            "accelerator device: cuda",
            "running training",
            "steps:   0%",
            "20/20",
            "epoch 1/2",
            "epoch 2/2",
        )
    ]
    assert places == sorted(places)


def test_the_bar_counts_every_step_and_carries_the_average_loss(trainer: Trainer) -> None:
    drawn = bars(trainer.lora().stderr)

    assert [int(bar[1]) for bar in drawn] == sorted(int(bar[1]) for bar in drawn)
    assert {int(bar[2]) for bar in drawn} == {20}
    assert drawn[0].group(4, 5) == ("?", "?")
    losses = [float(found[1]) for bar in drawn if (found := AVERAGE.search(bar[7]))]
    assert len(losses) >= 20
    assert all(0.02 < loss < 0.5 for loss in losses)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(trainer: Trainer) -> None:
    def last_bars(seed: str) -> list[str]:
        return [bar[0] for bar in bars(trainer.lora("--seed", seed).stderr)]

    assert last_bars("1") == last_bars("1")
    assert last_bars("1") != last_bars("2")


def test_the_loss_falls_over_a_long_run(trainer: Trainer) -> None:
    drawn = bars(trainer.lora("--max_train_epochs", "60").stderr)

    losses = [float(found[1]) for bar in drawn if (found := AVERAGE.search(bar[7]))]
    assert sum(losses[-100:]) < sum(losses[100:200])


def test_a_lora_file_has_true_names_shapes_and_metadata(trainer: Trainer) -> None:
    trainer.lora("--save_every_n_epochs", "1")
    first, last = (
        header(trainer.output / "cat-000001.safetensors"),
        header(trainer.output / "cat.safetensors"),
    )

    about = last["__metadata__"]
    assert all(isinstance(value, str) for value in about.values())
    expected = {
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "32",
        "ss_network_alpha": "16.0",
        "ss_num_train_images": "20",
        "ss_num_batches_per_epoch": "10",
        "ss_steps": "20",
        "ss_epoch": "2",
        "ss_learning_rate": "0.0001",
        "ss_output_name": "cat",
        "ss_seed": "42",
        "ss_mixed_precision": "bf16",
        "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit",
        "ss_sd_model_name": "base.safetensors",
        "ss_new_sd_model_hash": "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b",
        "ss_sd_scripts_commit_hash": "48d368fa557731ad0488c07304dfeba8c07910eb",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.resolution": "1024x1024",
        "modelspec.title": "cat",
    }
    assert {key: about[key] for key in expected} == expected
    assert json.loads(about["ss_dataset_dirs"]) == {"images": {"n_repeats": 2, "img_count": 10}}
    assert json.loads(about["ss_tag_frequency"])["images"]["a cat"] == 10
    assert float(about["ss_training_finished_at"]) >= float(about["ss_training_started_at"])
    assert (first["__metadata__"]["ss_steps"], first["__metadata__"]["ss_epoch"]) == ("10", "1")
    assert len(about["sshs_model_hash"]) == 64
    name = next(name for name in last if name.endswith("attn2_to_k.lora_down.weight"))
    assert last[name] == {"dtype": "F16", "shape": [32, 2048], "data_offsets": last[name]["data_offsets"]}
    assert (trainer.output / "cat.safetensors").stat().st_size < 5_000_000


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", "F16"), ("bf16", "BF16"), ("float", "F32")])
def test_save_precision_is_the_dtype_of_the_file(trainer: Trainer, precision: str, dtype: str) -> None:
    trainer.lora("--save_precision", precision)

    table = header(trainer.output / "cat.safetensors")
    assert {entry["dtype"] for name, entry in table.items() if name != "__metadata__"} == {dtype}


def test_training_the_text_encoders_puts_them_into_the_file(trainer: Trainer) -> None:
    done = trainer.lora(without=("network_train_unet_only", "cache_text_encoder_outputs"))

    assert done.returncode == 0
    names = header(trainer.output / "cat.safetensors")
    assert any(name.startswith("lora_te2_") for name in names)
    assert any(name.startswith("lora_unet_") for name in names)


def test_no_metadata_leaves_the_minimum(trainer: Trainer) -> None:
    trainer.lora("--no_metadata")

    about = header(trainer.output / "cat.safetensors")["__metadata__"]
    kept = {"ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim", "ss_network_alpha"}
    assert {key for key in about if key.startswith("ss_")} == kept


def test_full_fine_tuning_prints_and_saves_a_whole_checkpoint(trainer: Trainer) -> None:
    done = trainer.full("--learning_rate", "1e-5", "--save_every_n_epochs", "1")

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[2:5] == [
        "train unet: True, text_encoder1: False, text_encoder2: False",
        "number of models: 1",
        "number of trainable parameters: 2567463684",
    ]
    assert "  num examples / サンプル数: 20" in lines
    assert f"saving checkpoint: {trainer.output}/cat-000001.safetensors" in done.stderr
    assert (
        f"save trained model as StableDiffusion checkpoint to {trainer.output}/cat.safetensors" in done.stderr
    )
    table = header(trainer.output / "cat.safetensors")
    assert table["__metadata__"]["modelspec.architecture"] == "stable-diffusion-xl-v1-base"
    assert any(name.startswith("conditioner.embedders.1.model.") for name in table)


def test_a_fine_tuned_checkpoint_can_be_the_base_of_a_lora(trainer: Trainer) -> None:
    trainer.full()

    done = trainer.lora("--pretrained_model_name_or_path", trainer.output / "cat.safetensors")
    assert done.returncode == 0


def test_saving_as_diffusers_makes_a_folder_that_loads(trainer: Trainer) -> None:
    trainer.full("--save_model_as", "diffusers_safetensors")

    assert (trainer.output / "cat/model_index.json").is_file()
    done = trainer.lora("--pretrained_model_name_or_path", trainer.output / "cat")
    assert done.returncode == 0


def test_sample_images_are_pngs_named_by_epoch(trainer: Trainer) -> None:
    prompts = trainer.machine.write("prompts.txt", "# a comment\na cat --w 256 --h 128 --d 7\na dog\n")
    done = trainer.lora("--sample_every_n_epochs", "1", "--sample_prompts", prompts)

    assert done.returncode == 0
    names = sorted(path.name for path in (trainer.output / "sample").iterdir())
    assert [re.sub(r"\d{14}", "TIME", name) for name in names] == [
        "cat_e000001_00_TIME_7.png",
        "cat_e000001_01_TIME.png",
        "cat_e000002_00_TIME_7.png",
        "cat_e000002_01_TIME.png",
    ]
    with Image.open(trainer.output / "sample" / names[0]) as picture:
        picture.load()
        assert picture.size == (256, 128)


def test_caches_on_disk_lie_beside_the_images_and_are_used_again(trainer: Trainer) -> None:
    options = ("--cache_latents_to_disk", "--cache_text_encoder_outputs_to_disk")
    trainer.lora(*options)

    latents = trainer.images / "0_1024x1024_sdxl.npz"
    assert latents.stat().st_size > 4 * 128 * 128 * 4
    assert (trainer.images / "0_te_outputs.npz").is_file()
    before = latents.stat().st_mtime_ns
    again = trainer.lora(*options)
    assert latents.stat().st_mtime_ns == before
    assert "set image size from cache files: 10/10" in again.stderr
    assert "no Text Encoder outputs to cache" in again.stderr


def test_fp16_without_no_half_vae_ends_in_nan_and_its_caches_stay_broken(trainer: Trainer) -> None:
    def last(*more: str) -> str:
        done = trainer.lora("--mixed_precision", "fp16", "--cache_latents_to_disk", *more)
        assert done.returncode == 0
        return AVERAGE.findall(done.stderr)[-1]

    assert last() == "nan"
    assert last("--no_half_vae") == "nan"
    for cache in trainer.images.glob("*_sdxl.npz"):
        cache.unlink()
    assert last("--no_half_vae") != "nan"


def test_the_fault_nan_loss_turns_the_average_to_nan_for_ever(trainer: Trainer) -> None:
    trainer.machine.write_facts(faults=["nan_loss"])
    values = AVERAGE.findall(trainer.lora().stderr)

    assert values[0] != "nan"
    first = values.index("nan")
    assert set(values[first:]) == {"nan"}


def test_a_full_disk_ends_the_run_at_the_first_save(trainer: Trainer) -> None:
    trainer.machine.write_facts(faults=["disk_full"])
    done = trainer.lora()

    assert done.returncode == 1
    assert 'message: "No space left on device"' in done.stderr
    assert "model saved." not in done.stderr


def test_logs_can_go_plain_to_stdout_or_to_a_file(trainer: Trainer) -> None:
    simple = trainer.lora("--console_log_simple")
    assert "model saved." in simple.stdout.splitlines()

    trainer.lora("--console_log_file", trainer.home / "log.txt")
    assert (trainer.home / "log.txt").read_text().splitlines()[-1] == "model saved."


def test_the_trainer_starts_fast(trainer: Trainer) -> None:
    trainer.lora()
    probe = "import time, library.network_trainer; print(time.process_time())"
    timed = trainer.machine.run(
        trainer.installed / "venv/bin/python", "-c", probe, cwd=trainer.installed / "sd-scripts"
    )

    assert float(timed.stdout) < 0.15
