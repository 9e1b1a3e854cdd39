"""`fragua calibrate` shows how far off the estimates were, and keeps what the runs teach."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from runs import MARKET, machine, part, run

from cli import calibrate
from components.record.experience import read_experience
from components.record.model import Cost
from components.record.store import write

if TYPE_CHECKING:
    from pathlib import Path

    from components.record.model import Record


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FRAGUA_HOME", str(tmp_path / "memory"))
    monkeypatch.setenv("FRAGUA_OUTPUT", str(tmp_path / "output"))
    return tmp_path


def shown(project: Path, capsys: pytest.CaptureFixture[str], *records: Record) -> str:
    """Return what the command says of those records, its spaces made single."""
    for number, record in enumerate(records):
        write(record, project / "output" / "train" / str(number))
    calibrate.run(project)
    return re.sub(r"[^\S\n]+", " ", capsys.readouterr().out)


def test_errors_are_shown_and_the_next_estimates_know_better(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spent = run(part(4.0), status="done", run="cat-1", cost=Cost(spent=1.2, foreseen=1.0))
    said = shown(project, capsys, spent, run(part(4.0), status="running"))

    assert f"runs on {MARKET}" in said
    assert "RTX 4090 lora 2 0.441 0.500 +13% 4 reports" in said
    assert "cat-1 1.00 1.20 +20%" in said
    assert "in all 1.00 1.20 +20%" in said
    assert read_experience(MARKET).speeds["RTX 4090/lora"].runs == 2


def test_doing_it_again_learns_nothing_twice(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = run(part(4.0), machines=(machine(interruptible=True),), status="done")
    first = shown(project, capsys, record)
    learned = read_experience(MARKET)

    assert "interruptible: 0 lost in 2.0 h" in first
    assert shown(project, capsys) == first
    assert read_experience(MARKET) == learned


def test_without_runs_it_says_what_to_do(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "train something" in shown(project, capsys)
    assert not (project / "memory").exists()


def test_a_damaged_record_is_left_out_and_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = project / "output" / "train" / "broken" / "run.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")

    said = shown(project, capsys, run(part(4.0)))
    assert "left out: " in said
    assert str(damaged) in said
    assert "RTX 4090 lora 1" in said
