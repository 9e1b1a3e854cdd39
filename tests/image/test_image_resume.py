"""Checkpoints, states and resuming: names, what is kept, and the weaknesses that section 8 of the facts lists."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from events_file import scalars
from image_machine import IMAGE

if TYPE_CHECKING:
    from image_machine import Trainer


def epochs(stdout: str) -> list[str]:
    return [line for line in stdout.splitlines() if line.startswith("epoch ")]


def state(trainer: Trainer, name: str) -> dict[str, int]:
    found: dict[str, int] = json.loads((trainer.output / name / "train_state.json").read_text())
    return found


def test_epoch_files_are_numbered_and_the_last_epoch_has_only_the_final_file(trainer: Trainer) -> None:
    trainer.lora("--max_train_epochs", "3", "--save_every_n_epochs", "1", "--save_state")

    assert sorted(path.name for path in trainer.output.iterdir()) == [
        "cat-000001-state",
        "cat-000001.safetensors",
        "cat-000002-state",
        "cat-000002.safetensors",
        "cat-state",
        "cat.safetensors",
    ]
    assert state(trainer, "cat-000002-state") == {"current_epoch": 2, "current_step": 20}
    assert sorted(path.name for path in (trainer.output / "cat-state").iterdir()) == [
        "model.safetensors",
        "optimizer.bin",
        "random_states_0.pkl",
        "scheduler.bin",
        "train_state.json",
    ]


def test_step_files_are_numbered_with_eight_digits(trainer: Trainer) -> None:
    trainer.lora("--save_every_n_steps", "5")

    names = {path.name for path in trainer.output.iterdir()}
    assert {"cat-step00000005.safetensors", "cat-step00000020.safetensors", "cat.safetensors"} <= names


def test_without_an_output_name_files_are_called_epoch_at_and_last(trainer: Trainer) -> None:
    trainer.lora("--save_every_n_epochs", "1", "--save_every_n_steps", "15", without=("output_name",))

    names = {path.name for path in trainer.output.iterdir()}
    assert names == {"epoch-000001.safetensors", "at-step00000015.safetensors", "last.safetensors"}


def test_save_last_n_epochs_keeps_files_and_states_of_the_last_epochs(trainer: Trainer) -> None:
    trainer.lora(
        *("--max_train_epochs", "5", "--save_every_n_epochs", "1", "--save_state"),
        *("--save_last_n_epochs", "2", "--save_last_n_epochs_state", "1"),
    )

    names = {path.name for path in trainer.output.iterdir()}
    assert {name for name in names if name.startswith("cat-0") and "state" not in name} == {
        "cat-000003.safetensors",
        "cat-000004.safetensors",
    }
    assert {name for name in names if name.endswith("-state")} == {"cat-000004-state", "cat-state"}


def test_save_last_n_steps_counts_steps_and_not_files(trainer: Trainer) -> None:
    trainer.lora("--save_every_n_steps", "2", "--save_last_n_steps", "6")

    steps = sorted(int(path.stem[-8:]) for path in trainer.output.glob("cat-step*.safetensors"))
    assert steps == [14, 16, 18, 20]


def test_a_lora_resumes_at_the_epoch_of_its_state_and_counts_steps_from_zero(trainer: Trainer) -> None:
    trainer.lora("--max_train_epochs", "3", "--save_every_n_epochs", "1", "--save_state")
    done = trainer.lora(
        "--max_train_epochs", "4", "--resume", trainer.output / "cat-000002-state", "--save_state"
    )

    assert epochs(done.stdout) == ["epoch 3/4", "epoch 4/4"]
    assert "20/40" in done.stderr.splitlines()[-1]
    assert state(trainer, "cat-state") == {"current_epoch": 4, "current_step": 20}


def test_a_second_resume_starts_too_early_unless_the_epoch_is_said(trainer: Trainer) -> None:
    trainer.lora("--max_train_epochs", "2", "--save_every_n_epochs", "1", "--save_state")
    trainer.lora(
        *("--max_train_epochs", "4", "--resume", trainer.output / "cat-000001-state"),
        *("--save_every_n_epochs", "1", "--save_state"),
    )
    assert state(trainer, "cat-000003-state") == {"current_epoch": 3, "current_step": 20}

    wrong = trainer.lora("--max_train_epochs", "4", "--resume", trainer.output / "cat-000003-state")
    assert epochs(wrong.stdout) == ["epoch 3/4", "epoch 4/4"]
    right = trainer.lora(
        "--max_train_epochs", "4", "--resume", trainer.output / "cat-000003-state", "--initial_epoch", "4"
    )
    assert epochs(right.stdout) == ["epoch 4/4"]
    assert "steps from the state is ignored because initial_step is specified" in right.stderr


def test_skipping_to_the_initial_step_counts_on_from_within_the_epoch(trainer: Trainer) -> None:
    done = trainer.lora("--initial_step", "13", "--skip_until_initial_step")

    assert epochs(done.stdout) == ["epoch 2/2"]
    assert "lr scheduler will be started from the beginning" in done.stderr
    assert "skipping epoch 1 because initial_step (multiplied) is 13" in done.stderr
    assert "10/17" in done.stderr.splitlines()[-1] or "7/17" in done.stderr.splitlines()[-1]


def test_a_finished_lora_cannot_be_resumed(trainer: Trainer) -> None:
    trainer.lora("--save_state")
    done = trainer.lora("--resume", trainer.output / "cat-state")

    assert done.returncode == 1
    assert "AssertionError: max_train_steps should be greater than initial step" in done.stderr
    assert "20 vs 20" in done.stderr


def test_a_resumed_run_keeps_the_old_learning_rate(trainer: Trainer) -> None:
    trainer.lora("--save_every_n_epochs", "1", "--save_state")
    trainer.lora(
        *("--max_train_epochs", "3", "--resume", trainer.output / "cat-000001-state"),
        *("--learning_rate", "5e-4", "--logging_dir", trainer.home / "logs"),
    )

    rates = {round(value, 8) for tag, _, value in scalars(trainer.home / "logs") if tag == "lr/unet"}
    assert rates == {0.0001}


def test_a_full_fine_tuning_resumes_its_optimizer_but_not_its_epochs(trainer: Trainer) -> None:
    trainer.full("--save_every_n_epochs", "1", "--save_state")
    assert not (trainer.output / "cat-000001-state/train_state.json").exists()
    done = trainer.full("--resume", trainer.output / "cat-000001-state")

    assert epochs(done.stdout) == ["epoch 1/2", "epoch 2/2"]
    assert "20/20" in done.stderr.splitlines()[-1]


def test_a_folder_that_is_not_there_cannot_be_resumed(trainer: Trainer) -> None:
    done = trainer.lora("--resume", "nowhere-state")

    assert done.returncode == 1
    assert "ValueError: Tried to find nowhere-state but folder does not exist" in done.stderr


def test_weights_of_an_earlier_lora_are_loaded_with_their_rank(trainer: Trainer) -> None:
    trainer.lora("--network_dim", "8")
    weights = trainer.output / "cat.safetensors"
    done = trainer.lora("--network_weights", weights, "--dim_from_weights", "--output_name", "again")

    assert done.returncode == 0
    assert f"load network weights from {weights}: <All keys matched successfully>" in done.stdout


def _start(trainer: Trainer, script: str, arguments: list[str]) -> subprocess.Popen[str]:
    command = [trainer.installed / "venv/bin/python", trainer.installed / "sd-scripts" / script, *arguments]
    return subprocess.Popen(
        list(map(str, command)),
        env=trainer.machine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_signal_ends_training_at_once_and_saves_nothing(trainer: Trainer) -> None:
    trainer.machine.write_facts(scale=300)
    process = _start(trainer, "sdxl_train_network.py", trainer.lora_arguments("--max_train_epochs", "50"))
    assert process.stdout
    for line in process.stdout:
        if "steps:" in line:
            break
    process.send_signal(signal.SIGTERM)
    rest = process.stdout.read()

    assert process.wait(timeout=10) == -signal.SIGTERM
    assert "model saved." not in rest
    assert not (trainer.output / "cat.safetensors").exists()


def test_ctrl_c_ends_launcher_and_training_with_tracebacks(trainer: Trainer) -> None:
    trainer.machine.write_facts(scale=300)
    launcher = trainer.installed / "venv/bin/accelerate"
    script = trainer.installed / "sd-scripts/sdxl_train_network.py"
    arguments = trainer.lora_arguments("--max_train_epochs", "50")
    process = subprocess.Popen(
        [launcher, "launch", "--num_processes", "1", "--mixed_precision", "bf16", script, *arguments],
        cwd=trainer.home,
        env=trainer.machine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "steps:" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    rest = process.stdout.read()

    assert process.wait(timeout=10) == -signal.SIGINT
    assert rest.splitlines().count("KeyboardInterrupt") == 2
    assert str(IMAGE / "lib") not in rest


def test_a_kill_while_saving_leaves_a_file_that_is_cut_off(trainer: Trainer) -> None:
    trainer.machine.write_facts(scale=40)
    process = _start(trainer, "sdxl_train.py", trainer.full_arguments("--save_every_n_steps", "1"))
    file = trainer.output / "cat-step00000001.safetensors"
    deadline = time.monotonic() + 30
    while not (file.exists() and file.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.communicate()

    trainer.machine.write_facts(scale=1_000_000)
    done = trainer.lora("--pretrained_model_name_or_path", file)
    assert "safetensors_rust.SafetensorError: Error while deserializing header:" in done.stderr
