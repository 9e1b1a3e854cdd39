"""TensorBoard's files and its server."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from typing import TYPE_CHECKING

from events_file import crc32c, scalars

if TYPE_CHECKING:
    from image_machine import Trainer


def test_the_reader_of_these_tests_knows_the_checksum() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_a_lora_logs_losses_and_rates_by_step_and_epoch(trainer: Trainer) -> None:
    trainer.lora("--logging_dir", trainer.home / "logs", "--log_prefix", "run_", "--lr_scheduler", "linear")

    (folder,) = (trainer.home / "logs").iterdir()
    assert re.fullmatch(r"run_\d{14}", folder.name)
    assert (folder / "network_train").is_dir()
    found = scalars(folder)
    assert {tag for tag, _, _ in found} == {"loss/current", "loss/average", "loss/epoch_average", "lr/unet"}
    assert [step for tag, step, _ in found if tag == "loss/current"] == list(range(1, 21))
    rates = [value for tag, _, value in found if tag == "lr/unet"]
    assert rates == sorted(rates, reverse=True)
    assert abs(rates[0] - 1e-4 * 19 / 20) < 1e-9
    assert rates[-1] == 0.0


def test_full_fine_tuning_logs_under_its_own_names(trainer: Trainer) -> None:
    trainer.full("--logging_dir", trainer.home / "logs", "--learning_rate", "1e-5")

    (folder,) = (trainer.home / "logs").iterdir()
    assert (folder / "finetuning").is_dir()
    assert {tag for tag, _, _ in scalars(folder)} == {"loss", "loss/epoch", "lr/unet"}


def test_no_logging_dir_means_no_files(trainer: Trainer) -> None:
    trainer.lora("--log_prefix", "run_")

    assert not list(trainer.home.rglob("events.out.tfevents.*"))


def test_the_server_shows_its_page_and_the_scalars(trainer: Trainer) -> None:
    trainer.lora("--logging_dir", trainer.home / "logs")
    server = subprocess.Popen(
        [
            str(trainer.installed / "venv/bin/tensorboard"),
            "--logdir",
            str(trainer.home / "logs"),
            "--port",
            "0",
        ],
        env=trainer.machine.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr
    try:
        for line in server.stderr:
            if found := re.search(
                r"TensorBoard 2.21.0 at (http://localhost:\d+/) \(Press CTRL\+C to quit\)", line
            ):
                break
        assert found

        def get(path: str) -> bytes:
            with urllib.request.urlopen(found[1] + path, timeout=10) as answer:
                body: bytes = answer.read()
                return body

        assert b"<title>TensorBoard</title>" in get("")
        assert json.loads(get("data/logdir")) == {"logdir": str(trainer.home / "logs")}
        (run,) = json.loads(get("data/runs"))
        points = json.loads(get(f"data/plugin/scalars/scalars?run={run}&tag=loss/current"))
        written = [value for tag, _, value in scalars(trainer.home / "logs") if tag == "loss/current"]
        assert [value for _, _, value in points] == written
        assert [step for _, step, _ in points] == list(range(1, 21))
    finally:
        server.kill()
        server.wait()
