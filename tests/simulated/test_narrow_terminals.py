"""What a person copies from the money commands is whole at 80 columns, and in a pipe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from exported import deployment, surveyed

from cli import bill, offers, status
from cli.stacks import stack_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rented import Cloud, Run

NAME = "a-lora-of-my-cat-2026"
JOB = """\
kind: machine
node: {gpu: {models: [RTX 4090, RTX 4060 Ti], vram: 16}, image: ubuntu, disk: 40, max_price: 0.9, bid: auto}
"""


@pytest.fixture(params=["terminal", "pipe"])
def narrow(request: pytest.FixtureRequest, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Speak to 80 columns; whether they are a terminal's."""
    values = {"COLUMNS": "80", "TERM": "xterm", "VAST_URL": cloud.url, "VAST_API_KEY": cloud.api_key}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TTY_COMPATIBLE", "1" if request.param == "terminal" else "0")
    return bool(request.param == "terminal")


def test_offers(narrow: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(JOB, encoding="utf-8")
    offers.run(job, None, every=False, as_json=True)
    data = json.loads(capsys.readouterr().out)
    offers.run(job, None, every=True, as_json=False)
    text = capsys.readouterr().out
    table = text[: text.index("lost")].splitlines()

    assert all(str(each["offer"]) in text for each in (*data["choices"], *data["rejected"]))
    assert not narrow or max(map(len, table[1:])) <= 80
    assert narrow == ("machine" not in table[0])


def test_status_and_bill(
    narrow: bool,
    start: Callable[..., Run],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = start()
    [machine] = mine.acquire()
    found = surveyed(stack_of(NAME, deployment(mine, machine)))
    for command in (status, bill):
        monkeypatch.setattr(command, "survey", lambda _: found)
    mine.cloud.ask("POST", "clock", advance=60)

    status.run(tmp_path, as_json=False)
    text = capsys.readouterr().out
    assert {NAME, str(machine.instance.id), "running"} <= {*text.split()}
    assert narrow == ("node" not in text)

    bill.run(tmp_path, "1d", as_json=False)
    assert NAME in capsys.readouterr().out.split()
