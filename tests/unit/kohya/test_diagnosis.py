"""Why a training failed: every known message in the noise around it, and nothing in a healthy log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.kohya.diagnosis import Diagnosis, diagnose, ending, explained
from components.kohya.options import data

DATA = Path(__file__).parents[1] / "data"
ROWS: list[dict[str, Any]] = data("diagnosis.json")["rows"]
REAL: dict[str, list[str | dict[str, str]]] = yaml.safe_load((DATA / "log_messages.yaml").read_text())
MESSAGES = [
    (name, message["guide"] if isinstance(message, dict) else message)
    for name, messages in REAL.items()
    for message in messages
]

OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB."
IGNORED = "WARNING  ignore subset with image_dir='/workspace/cat': no images found"
ZEROED = "NaN found in latents, replacing with zeros"
XFORMERS = "WARNING[XFORMERS]: xFormers can't load C++/CUDA extensions. xFormers was built for:"

START = (
    "                    INFO     loading U-Net from checkpoint       sdxl_model_util.py:202\n"
    "read caption: 100%|██████████| 20/20 [00:00<00:00, 2801.25it/s]\r\n"
    "\r  0%|          | 0/20 [00:00<?, ?it/s]\r 45%|████▌     | 9/20 [00:01<00:01,  8.71it/s]\n"
)
SAVED = "saving checkpoint: output/cat.safetensors\n2026-02-16 12:00:00 INFO     model saved.\n"
TRACEBACK = (
    'Traceback (most recent call last):\n  File "sdxl_train.py", line 1, in <module>\n    train(args)\n'
)
LAUNCHER = (
    'Traceback (most recent call last):\n  File "/venv/main/bin/accelerate", line 10, in <module>\n'
    "subprocess.CalledProcessError: Command '['/venv/main/bin/python', 'sdxl_train.py', '--output_dir', "
    "'/out']' returned non-zero exit status 1.\n"
)


def bar(step: int, loss: str = "0.0921") -> str:
    return f"\rsteps:  12%|█▏        | {step}/1000 [02:24<17:36,  1.20s/it, avr_loss={loss}]"


def names(log: str, exit_code: int | None = None) -> list[str]:
    return [each.name for each in diagnose(log, exit_code)]


@pytest.mark.parametrize(("name", "message"), MESSAGES, ids=[message[:60] for _, message in MESSAGES])
def test_a_real_message_is_explained_first_whatever_stands_around_it(name: str, message: str) -> None:
    log = f"{START}{ZEROED}\n{bar(0)}{TRACEBACK}\n{message}\n{bar(0)}\n{LAUNCHER}"

    found = diagnose(log, 1)[0]

    assert (found.name, found.message) == (name, message.strip())


@pytest.mark.parametrize(("name", "message"), MESSAGES, ids=[message[:60] for _, message in MESSAGES])
def test_a_message_may_stand_alone_and_in_any_case(name: str, message: str) -> None:
    assert names(message)[0] == name
    assert names(message.upper())[0] == name


def test_every_row_has_a_real_message_and_says_what_to_do() -> None:
    automatic = {"", "smaller-memory-plan", "another-machine", "stop", "retry"}

    assert {row["name"] for row in ROWS if row.get("says")} == set(REAL)
    assert len({row["name"] for row in ROWS}) == len(ROWS)
    assert all(row["cause"].endswith(".") and row["remedy"].endswith(".") for row in ROWS)
    assert {row.get("automatic", "") for row in ROWS} == automatic


@pytest.mark.parametrize(
    ("log", "exit_code", "expected"),
    [
        pytest.param(START, 0, ["nothing-trained"], id="0 without training"),
        pytest.param(START + SAVED, 0, [], id="0 after training"),
        pytest.param(START, 1, [], id="1 says nothing"),
        pytest.param(f"{START}{OOM}\n", 1, ["gpu-memory"], id="1 with an error"),
        pytest.param(
            "usage: sdxl_train.py [-h]\nsdxl_train.py: error: unrecognized arguments: --network_dim 8\n",
            2,
            ["option-of-another-script"],
            id="2",
        ),
        pytest.param(START + bar(7), 137, ["host-memory"], id="137"),
        pytest.param(START + bar(7), -9, ["host-memory"], id="-9"),
        pytest.param(START + bar(7), 143, ["terminated"], id="143"),
        pytest.param(START + bar(7), -15, ["terminated"], id="-15"),
        pytest.param(START + SAVED, 143, ["terminated"], id="143 after training"),
        pytest.param(START + bar(7), None, [], id="still running"),
    ],
)
def test_exit_codes_are_explained(log: str, exit_code: int | None, expected: list[str]) -> None:
    assert names(log, exit_code) == expected


@pytest.mark.parametrize(
    ("log", "exit_code", "expected"),
    [
        pytest.param(
            f"{IGNORED}\n{XFORMERS}\nImportError: No bitsandbytes\n{OOM}\n",
            1,
            ["gpu-memory", "bitsandbytes", "xformers-mismatch", "subset-ignored"],
            id="the last error, earlier ones, what may follow from them, and what did not end it",
        ),
        pytest.param(bar(1, "nan") + bar(2, "nan"), 143, ["loss-nan", "terminated"], id="why it was stopped"),
        pytest.param(f"{IGNORED}\n", 137, ["host-memory", "subset-ignored"], id="what ended it"),
        pytest.param(
            "ERROR    model is not found as a file or in Hugging Face\n"
            "OSError: We couldn't connect to 'https://huggingface.co' to load the files\n",
            1,
            ["model-not-found", "hub-unreachable"],
            id="the cause before its consequence",
        ),
        pytest.param(
            "RuntimeError: DataLoader worker (pid 47) is killed by signal: Killed. \n"
            "RuntimeError: DataLoader worker (pid(s) 47) exited unexpectedly\n",
            1,
            ["host-memory", "shared-memory"],
            id="how a worker ended, before that it did",
        ),
        pytest.param(f"{OOM}\n{OOM}\n", 1, ["gpu-memory"], id="none twice"),
        pytest.param("ImportError: No xformers\n", 1, ["xformers-missing"], id="one for a line"),
    ],
)
def test_the_most_telling_comes_first(log: str, exit_code: int, expected: list[str]) -> None:
    assert names(log, exit_code) == expected


@pytest.mark.parametrize(
    ("log", "exit_code", "expected"),
    [
        pytest.param(f"{XFORMERS}\n{bar(0)}{bar(2)}", None, [], id="a warning"),
        pytest.param(f"{bar(500)}\n{OOM}\n{START}{bar(0)}{bar(3)}", None, [], id="an earlier run"),
        pytest.param(f"{bar(500)}\n{OOM}\n{bar(500)}{bar(501)}", 1, ["gpu-memory"], id="others ended a step"),
        pytest.param(f"{XFORMERS}\n{SAVED}", None, [], id="a short training"),
        pytest.param(f"{SAVED}EOFError\n", 0, [], id="noise at the end of a good one"),
        pytest.param(f"{SAVED}{OOM}\n", 1, ["gpu-memory"], id="an error after the end of an earlier run"),
        pytest.param(f"{IGNORED}\n{bar(9)}{SAVED}", 0, ["subset-ignored"], id="a folder is missing for good"),
        pytest.param(f"{bar(1, 'nan')}{bar(9, 'nan')}{SAVED}", 0, ["loss-nan"], id="nan is for good"),
    ],
)
def test_an_error_that_training_went_on_after_was_none(
    log: str, exit_code: int | None, expected: list[str]
) -> None:
    assert names(log, exit_code) == expected


def test_the_first_bar_without_a_number_is_told() -> None:
    (found,) = diagnose(bar(30) + bar(31, "nan") + bar(32, "nan"))

    assert found.message == bar(31, "nan").strip()


@pytest.mark.parametrize(
    "line",
    [
        "validation steps: 50%|█████     | 1/2 [00:01<00:01,  1.00s/it, val_avg_loss=nan]",
        "'tokenizer_cache_dir': None, 'huggingface_token': None, 'lowram': False, 'sample_prompts': None",
        "WARNING: Retrying (Retry(total=4)) after connection broken by: [Errno 110] Connection timed out",
        "The following values were not passed to `accelerate launch` and had defaults used instead:",
        "A matching Triton is not available, some optimizations will not be enabled",
        "INFO     model saved.",
        "outofmemory is a word in a caption, and killed another",
    ],
)
def test_harmless_lines_mean_nothing(line: str) -> None:
    assert names(line) == []


PIECES = st.sampled_from([part for row in ROWS for says in row.get("says", ()) for part in says.split("…")])
NOISE = st.lists(
    PIECES | st.sampled_from(["\r", "\n", bar(1), bar(9), SAVED]) | st.text(max_size=9), max_size=30
)


@given(NOISE.map("".join), st.none() | st.sampled_from([0, 1, 2, 137, -9, 143, -15]))
def test_any_text_is_taken_and_every_message_stands_in_it(log: str, exit_code: int | None) -> None:
    found = diagnose(log, exit_code)
    lines = {line.encode("utf-8", "replace").decode().strip() for line in log.replace("\r", "\n").split("\n")}

    assert len({each.name for each in found}) == len({each.message for each in found}) == len(found)
    assert all(
        each.message in lines | {f"exit code {exit_code}"} for each in found if len(each.message) < 100
    )


SLOW = {
    "bars": bar(7),
    "errors": f"{OOM}\n",
    "begun messages": "error: argument \n",
    "begun messages in one line": "error: argument ",
    "line breaks": "\n",
    "one letter": "e",
}


@pytest.mark.parametrize("piece", SLOW.values(), ids=SLOW)
def test_the_time_grows_with_the_log_and_no_faster(piece: str) -> None:
    def seconds(letters: int) -> float:
        log = piece * (letters // len(piece))
        taken = []
        for _ in range(3):
            begun = time.perf_counter()
            diagnose(log)
            taken.append(time.perf_counter() - begun)
        return min(taken)

    assert seconds(1_600_000) < 16 * 4 * seconds(100_000)


def test_a_long_line_is_cut() -> None:
    assert 400 < len(diagnose(OOM * 1000)[0].message) <= 500


def test_the_end_of_a_log_is_shown_as_a_terminal_would() -> None:
    log = "".join(f"line {number}\r\n" for number in range(100)) + bar(1) + bar(2) + "\n\n"

    assert ending(log).splitlines() == [*(f"line {number}" for number in range(81, 100)), bar(2)[1:]]
    assert len(ending("x" * 10_000)) == 3000
    assert ending("") == ""


def test_an_explanation_begins_with_the_diagnosis_and_ends_with_the_log() -> None:
    text = explained(f"{START}{OOM}\n", 1)

    assert text.startswith(f"The GPU's memory is full.\n  said: {OOM}\n  do: In this order: gradient_")
    assert text.endswith(f"\nIts log ends:\n{ending(START + OOM)}")
    assert explained("who knows", 1) == "Its log ends:\nwho knows"


def test_a_diagnosis_is_three_lines_for_a_person() -> None:
    assert str(Diagnosis("n", "m", "Cause.", "Remedy.")) == "Cause.\n  said: m\n  do: Remedy."
