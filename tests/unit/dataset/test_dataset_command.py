"""`fragua dataset check`, as a person and as a program sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dataset_files import make, photo

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str | Path, columns: int = 100) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "dataset", "check", *arguments]
    environment = {**os.environ, "COLUMNS": str(columns), "PYTHONWARNINGS": "error"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images of two shapes in a numbered folder, and two for regularisation."""
    files = {f"10_cat/{number}.jpg": photo(number, (1024, 1024)) for number in range(1, 4)}
    files |= {f"10_cat/{number}.jpg": photo(number, (1216, 832)) for number in (4, 5)}
    files |= {f"reg/1_cat/{number}.jpg": photo(number) for number in (6, 7)}
    return make(tmp_path / "data", files | {"10_cat/1.txt": "a cat"})


def test_a_person_sees_folders_problems_and_steps(folder: Path) -> None:
    make(folder, {"10_cat/8.gif": b"?"})

    done = run(folder, "--batch-size", "4", "--epochs", "2")

    assert (done.returncode, done.stderr) == (0, "")
    steps = (
        "batch size 4, 2 epochs, 1024 pixels: an epoch shows 50 images and 50 of regularisation "
        "in 2 buckets, as 25 batches (0 not full); 50 steps in all"
    )
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "folder                      images  repeats  captions   smallest    largest  class tokens",
        "10_cat                           5       10         1   1216x832  1024x1024  cat",
        "reg/1_cat (regularisation)       2        1         0  1024x1024  1024x1024  cat",
        "",
        "warning: overlooked format (1)",
        "  10_cat/8.gif: is a .gif file",
        "  -> sd-scripts overlooks it: convert it to PNG or JPEG, or leave it out on purpose",
        "",
        steps,
        "",
        "0 errors, 1 warning: it can be trained on",
    ]


def test_errors_come_first_and_make_the_command_fail(folder: Path) -> None:
    broken = {f"10_cat/b{number}.png": b"<html>" for number in range(7)}
    make(folder, {"10_cat/8.gif": b"?", **broken})

    done = run(folder)

    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert done.returncode == 1
    start = lines.index("error: unreadable image (7)")
    assert lines[start + 1 : start + 8] == [
        *(f"  10_cat/b{number}.png: is a web page, not an image" for number in range(5)),
        "  and 2 more",
        "  -> replace it, or delete it with its caption: sd-scripts would stop at it",
    ]
    assert lines.index("warning: overlooked format (1)") > start
    assert lines[-1] == "7 errors, 1 warning: it would be refused"


def test_a_program_gets_all_of_it_as_json(folder: Path) -> None:
    make(folder, {"10_cat/b.png": b""})

    done = run(folder, "--json", "--epochs", "3")

    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert (told["folder"], told["errors"], told["warnings"]) == (str(folder), 1, 0)
    assert told["subsets"][0] == {
        "path": str(folder / "10_cat"),
        "repeats": 10,
        "class_tokens": "cat",
        "is_reg": False,
        "images": 5,
        "captions": 1,
        "sizes": [[1024, 1024], [1216, 832]],
    }
    assert told["problems"] == [
        {
            "kind": "unreadable-image",
            "severity": "error",
            "file": str(folder / "10_cat/b.png"),
            "what": "is empty (0 bytes)",
            "remedy": "replace it, or delete it with its caption: sd-scripts would stop at it",
        }
    ]
    assert told["estimate"] == {
        "buckets": [[[1024, 1024], 80], [[1216, 832], 20]],
        "train_images": 50,
        "reg_images": 50,
        "batches_per_epoch": 100,
        "partial_batches": 0,
        "steps_per_epoch": 100,
        "steps": 300,
    }


@pytest.mark.parametrize("name", ["nowhere", "file.zip", "empty", "stray\udce9"])
def test_a_mistake_ends_in_a_remedy_and_no_traceback(tmp_path: Path, name: str) -> None:
    make(tmp_path, {"file.zip": b"PK", "empty": None, "stray\udce9/\udce9.png": b""})

    done = run(tmp_path / name)

    assert done.returncode == 1
    assert done.stderr == ""
    assert "  -> " in done.stdout


def test_captions_and_resolution_are_as_asked_for(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "data", {"a.png": photo(1, (300, 300)), "a.caption": "a", "b.png": photo(2, (300, 300))}
    )

    assert run(folder).returncode == 1
    good = run(folder, "--caption-extension", ".caption", "--class-tokens", "cat", "--resolution", "512")
    assert (good.returncode, good.stdout.splitlines()[-1]) == (
        0,
        "0 errors, 0 warnings: it can be trained on",
    )
