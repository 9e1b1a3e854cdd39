"""What the trainer makes of a dataset: the TOML, the files, the captions, repeats and regularisation."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from events_file import scalars
from library import config_schema
from library.console import Failure
from library.images import is_whole, size

if TYPE_CHECKING:
    from image_machine import Trainer

# Made by running voluptuous 0.15.2 over the real ConfigSanitizer of sd-scripts 48d368fa: name -> [TOML, outcome].
CONFIGS: dict[str, list[str]] = json.loads((Path(__file__).parent / "dataset_configs.json").read_text())


def steps(stdout: str) -> int:
    line = next(line for line in stdout.splitlines() if "total optimization steps" in line)
    return int(line.rpartition(": ")[2])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_dataset_config_is_judged_as_voluptuous_judges_it(name: str) -> None:
    text, outcome = CONFIGS[name]
    try:
        config_schema.check(tomllib.loads(text), masked_loss=False, dropout=True)
    except Failure as failure:
        found = failure.last_line()
    else:
        found = "OK"

    assert found == outcome


def test_an_unknown_key_ends_the_run_with_the_real_message(trainer: Trainer) -> None:
    trainer.dataset(dataset="batchsize = 4")
    done = trainer.lora()

    assert done.returncode == 1
    message = "voluptuous.error.MultipleInvalid: extra keys not allowed @ data['datasets'][0]['batchsize']"
    assert done.stderr.splitlines()[-1] == message
    assert "Invalid user config / ユーザ設定の形式が正しくないようです" in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.toml", "ValueError: file not found / ファイルが見つかりません: nowhere.toml"),
        (
            "dataset.yaml",
            "ValueError: not supported config file format / 対応していない設定ファイルの形式です: dataset.yaml",
        ),
    ],
)
def test_a_config_that_cannot_be_read_is_refused(trainer: Trainer, name: str, message: str) -> None:
    trainer.machine.write("dataset.yaml", "datasets: []")
    done = trainer.lora("--dataset_config", name)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == message


def test_command_line_values_fill_only_what_the_config_leaves_open(trainer: Trainer) -> None:
    done = trainer.lora("--train_batch_size", "5", "--caption_extension", ".nope", "--dataset_repeats", "7")
    assert "  batch size per device / バッチサイズ: 2" in done.stdout
    assert "caption_extension: .txt" in done.stderr

    path = trainer.dataset()
    path.write_text(path.read_text().replace("batch_size = 2\n", ""))
    assert "  batch size per device / バッチサイズ: 5" in trainer.lora("--train_batch_size", "5").stdout


def test_folders_are_not_searched_and_other_files_are_not_seen(trainer: Trainer) -> None:
    trainer.add_image("deep/inside.png")
    trainer.add_image("late.webp")
    (trainer.images / "notes.md").write_text("x")
    (trainer.images / "moving.gif").write_bytes(b"GIF89a")

    assert f"found directory {trainer.images} contains 11 image files" in trainer.lora().stderr


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "PNG", "JPEG"])
def test_every_kind_of_image_is_measured(trainer: Trainer, suffix: str) -> None:
    path = trainer.add_image(f"measured.{suffix}", (321, 123))
    assert size(path) == (321, 123)
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[:-70])
    assert not is_whole(path)


def test_an_empty_folder_trains_nothing_and_exits_with_zero(trainer: Trainer) -> None:
    trainer.dataset()
    for path in trainer.images.iterdir():
        path.unlink()
    done = trainer.lora()

    assert done.returncode == 0
    assert f"ignore subset with image_dir='{trainer.images}': no images found" in done.stderr
    assert (
        "No data found. Please verify arguments (train_data_dir must be the parent of folders" in done.stderr
    )
    assert not trainer.output.exists()


def test_a_folder_that_is_not_there_trains_nothing_and_exits_with_zero(trainer: Trainer) -> None:
    path = trainer.dataset()
    path.write_text(path.read_text().replace(str(trainer.images), "/nowhere"))
    done = trainer.full()

    assert done.returncode == 0
    assert "not directory: /nowhere" in done.stderr
    assert "No data found. Please verify the metadata file and train_data_dir option." in done.stderr


def test_an_empty_caption_and_one_that_is_no_utf8_end_the_run(trainer: Trainer) -> None:
    (trainer.images / "3.txt").write_text("")
    assert "AssertionError: caption file is empty" in trainer.lora().stderr

    (trainer.images / "3.txt").write_bytes("Größe".encode("latin-1"))
    done = trainer.lora()
    assert "illegal char in file (not UTF-8)" in done.stderr
    assert "UnicodeDecodeError: 'utf-8' codec can't decode byte" in done.stderr


def test_an_image_without_a_caption_gets_the_class_tokens_or_a_warning(trainer: Trainer) -> None:
    (trainer.images / "3.txt").unlink()
    done = trainer.lora()
    assert done.returncode == 0
    assert (
        f"neither caption file nor class tokens are found. use empty caption for {trainer.images}/3.png"
        in done.stderr
    )

    trainer.dataset(subset='class_tokens = "cat"')
    done = trainer.lora()
    assert "neither caption file" not in done.stderr
    assert "No caption file found for 1 images." in done.stderr


def test_an_image_that_is_no_image_divides_by_zero(trainer: Trainer) -> None:
    (trainer.images / "3.png").write_text("not a picture")
    done = trainer.lora()

    assert "failed to get image size:" in done.stderr
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_an_image_that_is_cut_off_ends_the_run_while_caching(trainer: Trainer) -> None:
    path = trainer.images / "3.png"
    path.write_bytes(path.read_bytes()[:-70])
    done = trainer.lora()

    assert done.returncode == 1
    assert "OSError: image file is truncated" in done.stderr


def test_the_folder_convention_reads_repeats_and_class_from_the_name(trainer: Trainer) -> None:
    trainer.images.rename(trainer.home / "5_sks cat")
    (trainer.home / "train").mkdir()
    (trainer.home / "5_sks cat").rename(trainer.home / "train/5_sks cat")
    (trainer.home / "train/plain").mkdir()
    options = (
        "--train_data_dir",
        trainer.home / "train",
        "--resolution",
        "1024",
        "--caption_extension",
        ".txt",
    )
    done = trainer.lora(*options, without=("dataset_config",))

    assert "Using DreamBooth method." in done.stderr
    assert (
        "ignore directory without repeats / 繰り返し回数のないディレクトリを無視します: plain" in done.stderr
    )
    assert "class_tokens: sks cat" in done.stderr
    assert "50 train images with repeats." in done.stderr
    assert steps(done.stdout) == 2 * 50


def test_pointing_at_the_images_instead_of_their_parent_finds_no_data(trainer: Trainer) -> None:
    options = ("--train_data_dir", trainer.images, "--resolution", "1024")
    done = trainer.lora(*options, without=("dataset_config",))

    assert done.returncode == 0
    assert "No data found." in done.stderr


def test_regularisation_images_double_the_steps(trainer: Trainer) -> None:
    plain = steps(trainer.lora().stdout)
    for index in range(3):
        trainer.add_image(f"../reg/{index}.png", caption="a photo of a cat")
    path = trainer.dataset()
    path.write_text(
        path.read_text() + f'[[datasets.subsets]]\nis_reg = true\nimage_dir = "{trainer.home / "reg"}"\n'
    )
    done = trainer.lora()

    assert "3 reg images with repeats." in done.stderr
    assert steps(done.stdout) == 2 * plain


def test_more_regularisation_images_than_needed_are_left_out(trainer: Trainer) -> None:
    for index in range(30):
        trainer.add_image(f"../reg/{index}.png")
    path = trainer.dataset()
    path.write_text(
        path.read_text() + f'[[datasets.subsets]]\nis_reg = true\nimage_dir = "{trainer.home / "reg"}"\n'
    )
    done = trainer.lora()

    assert "some of reg images are not used" in done.stderr
    assert steps(done.stdout) == 2 * 20


def test_the_same_folder_twice_counts_once(trainer: Trainer) -> None:
    path = trainer.dataset()
    path.write_text(path.read_text() + f'[[datasets.subsets]]\nimage_dir = "{trainer.images}"\n')
    done = trainer.lora()

    assert f"ignore duplicated subset with image_dir='{trainer.images}': use the first one" in done.stderr
    assert "20 train images with repeats." in done.stderr


def test_each_bucket_rounds_its_batches_up(trainer: Trainer) -> None:
    trainer.add_image("wide.png", (1600, 900))
    trainer.add_image("tall.png", (900, 1600))
    trainer.dataset(text="enable_bucket = true\nmax_bucket_reso = 2048", subset="")
    path = trainer.home / "dataset.toml"
    path.write_text(
        path.read_text()
        .replace("num_repeats = 2", "num_repeats = 1")
        .replace("batch_size = 2", "batch_size = 4")
    )
    done = trainer.lora("--max_train_epochs", "1")

    assert "bucket 0: resolution (768, 1344), count: 1" in done.stderr
    assert "bucket 1: resolution (1024, 1024), count: 10" in done.stderr
    assert "bucket 2: resolution (1344, 768), count: 1" in done.stderr
    assert steps(done.stdout) == 3 + 1 + 1


def test_a_validation_split_is_kept_out_of_training(trainer: Trainer) -> None:
    trainer.dataset(dataset="validation_split = 0.2")
    done = trainer.lora()

    assert "16 train images with repeats." in done.stderr
    assert "2 validation images with repeats." in done.stderr
    assert "  num validation images * repeats / 学習画像の数×繰り返し回数: 2" in done.stdout


def test_validation_shows_bars_of_its_own_and_logs_the_difference(trainer: Trainer) -> None:
    trainer.dataset(dataset="validation_split = 0.2\nvalidation_seed = 1")
    logs = trainer.home / "logs"

    done = trainer.lora("--validate_every_n_steps", "4", "--logging_dir", logs)

    pieces = re.split(r"[\r\n]+", done.stderr)
    of_steps = [piece for piece in pieces if piece.startswith("validation steps:")]
    of_epochs = [piece for piece in pieces if piece.startswith("epoch validation steps:")]
    for bars, name in ((of_steps, "val_avg_loss"), (of_epochs, "val_epoch_avg_loss")):
        assert "100%|██████████| 4/4" in bars[-1]
        assert re.search(rf", {name}=0\.\d+, timestep=800\]", bars[-1])
        assert {int(found) for bar in bars for found in re.findall(r"timestep=(\d+)", bar)} == {
            200,
            400,
            600,
            800,
        }
    found: dict[str, dict[int, float]] = {}
    for tag, step, value in scalars(logs):
        found.setdefault(tag, {})[step] = value
    assert list(found["loss/validation/step_average"]) == [4, 8, 12, 16]
    assert list(found["loss/validation/epoch_average"]) == [1, 2]
    for kind, trained in (("step", "loss/average"), ("epoch", "loss/epoch_average")):
        for step, value in found[f"loss/validation/{kind}_divergence"].items():
            apart = found[f"loss/validation/{kind}_average"][step] - found[trained][step]
            assert abs(value - apart) < 1e-6


def test_validation_can_be_rarer_and_shorter(trainer: Trainer) -> None:
    trainer.dataset(dataset="validation_split = 0.5")

    done = trainer.lora("--validate_every_n_epochs", "2", "--max_validation_steps", "2")

    assert done.stderr.count("epoch validation steps:   0%") == 1
    assert "epoch validation steps: 100%|██████████| 8/8" in done.stderr


def test_epochs_override_steps_and_neither_means_1600(trainer: Trainer) -> None:
    assert steps(trainer.lora("--max_train_steps", "7").stdout) == 20
    assert steps(trainer.lora("--max_train_steps", "7", without=("max_train_epochs",)).stdout) == 7
    assert steps(trainer.lora(without=("max_train_epochs",)).stdout) == 1600


def test_accumulation_divides_the_steps_and_rounds_up(trainer: Trainer) -> None:
    done = trainer.lora("--gradient_accumulation_steps", "3")

    assert steps(done.stdout) == 2 * 4
    assert "8/8" in done.stderr


def test_several_processes_share_the_epochs_but_not_the_steps(trainer: Trainer) -> None:
    trainer.machine.with_gpus(("NVIDIA A100-SXM4-80GB", 81920), ("NVIDIA A100-SXM4-80GB", 81920))
    script = trainer.installed / "sd-scripts/sdxl_train_network.py"
    launch = ("--multi_gpu", "--num_processes", "2", script)

    done = trainer.launch(*launch, *trainer.lora_arguments())
    assert steps(done.stdout) == 10
    assert "accelerator device: cuda:1" in done.stdout
    assert "  num batches per epoch / 1epochのバッチ数: 5" in done.stdout
    fixed = trainer.launch(
        *launch, *trainer.lora_arguments("--max_train_steps", "20", without=("max_train_epochs",))
    )
    assert steps(fixed.stdout) == 20
    assert "  num epochs / epoch数: 4" in fixed.stdout
