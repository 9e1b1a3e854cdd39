"""Each case's job still leads to the plan that was reviewed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from case_files import PATHS, rewritten


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_plan_is_the_one_that_was_reviewed(path: Path) -> None:
    """Where it should have changed: `python tests/cases/rewrite.py`, then read the diff."""
    assert rewritten(path) == path.read_text(encoding="utf-8")


def test_rewriting_keeps_the_job_as_it_was_written(tmp_path: Path) -> None:
    source = Path(__file__).parent
    for name in ("case_files.py", "rewrite.py", "lora.yaml"):
        (tmp_path / "tests" / "cases").mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / "cases" / name).write_text((source / name).read_text())
    for name in ("components", "tests/unit"):
        (tmp_path / name).symlink_to(source.parents[1] / name)
    case = tmp_path / "tests" / "cases" / "lora.yaml"
    right = case.read_text()
    case.write_text(right.partition("\nplan:\n")[0])
    subprocess.run([sys.executable, "tests/cases/rewrite.py"], cwd=tmp_path, check=True)

    assert case.read_text() == right
