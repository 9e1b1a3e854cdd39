"""`fragua diagnose`, as a person and as a program sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOG = "loading\ntorch.OutOfMemoryError: CUDA out of memory.\n\rsteps:   0%|          | 0/20 [00:00<?, ?it/s]"


def run(*arguments: str | Path, log: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "diagnose", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"},
        input=log,
        capture_output=True,
        timeout=60,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def test_a_person_is_told_cause_and_remedy(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text(LOG)

    done = run(file, "--exit-code", "137")

    assert (done.returncode, done.stderr) == (0, "")
    paragraphs = done.stdout.split("\n\n")
    assert [paragraph.splitlines()[0] for paragraph in paragraphs] == [
        "The GPU's memory is full.",
        "The machine's own memory (RAM) is full: the system ended the process, often without a word.",
    ]
    assert [paragraph.splitlines()[1] for paragraph in paragraphs] == [
        "  said: torch.OutOfMemoryError: CUDA out of memory.",
        "  said: exit code 137",
    ]
    assert "  do: In this order: gradient_checkpointing;" in paragraphs[0]


def test_a_program_gets_json_from_a_pipe() -> None:
    done = run("-", "--json", log=LOG.encode())

    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    (found,) = told["diagnoses"]
    assert set(found) == {"name", "message", "cause", "remedy", "automatic"}
    assert (found["name"], found["automatic"]) == ("gpu-memory", "smaller-memory-plan")
    assert told["ending"].splitlines()[-1] == "steps:   0%|          | 0/20 [00:00<?, ?it/s]"


def test_how_a_log_ends_is_shown_when_nothing_is_known() -> None:
    done = run("-", log=b"one\ntwo \xff\n\n")

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "Nothing known is in this log. It ends:\none\ntwo \N{REPLACEMENT CHARACTER}\n"

    told = run("-", "--json")
    assert (told.returncode, json.loads(told.stdout)) == (1, {"diagnoses": [], "ending": ""})


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        done = run(path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"fragua: {path}: {why}. Give the path of a log, or - to pipe it in.\n"
