"""`./fragua check` of jobs that train nothing: what it prints, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.job import run
from components.errors import SpecError

MACHINE = """\
kind: machine
node:
  gpu: {models: [RTX 6090]}
  image: vastai/pytorch:2.7.1
  disk: 40
  max_price: 0.80
"""


def test_a_machine_can_be_rented_and_what_is_doubtful_of_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(MACHINE)
    run(job)

    warning, verdict = capsys.readouterr().out.splitlines()
    assert warning == (
        f"warning: {job}:3: node.gpu.models: 'RTX 6090' is no GPU that is known here, and the market is "
        "asked for it as it stands; did you mean 'RTX 5090'?"
    )
    assert verdict == "it can be rented"


def test_a_deadline_that_is_past_is_refused(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"{MACHINE}budget: {{deadline: 2026-01-31T18:00+01:00}}\n")

    with pytest.raises(SpecError, match=r"job\.yaml:7: budget\.deadline: it was .* h ago"):
        run(job)
