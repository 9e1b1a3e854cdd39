"""Machines that failed or are gone are remembered, for one market, whatever a crash did to the file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.vast.machines import BadMachines, GoneMachines

URL = "https://console.vast.ai"


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAGUA_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "bad-machines.jsonl"


def test_nothing_is_remembered_at_first() -> None:
    assert BadMachines(URL).ids() == set()


def test_what_failed_is_remembered_by_the_next_run() -> None:
    BadMachines(URL).add(7, "SSH never answered")
    BadMachines(URL).add(8, "shows another GPU")

    assert BadMachines(URL).ids() == {7, 8}


def test_a_rehearsal_says_nothing_of_the_real_market() -> None:
    BadMachines("http://127.0.0.1:1").add(7, "rehearsed")

    assert BadMachines(URL).ids() == set()


@pytest.mark.parametrize(("days", "remembered"), [(29, True), (31, False)])
def test_a_machine_is_forgotten_after_30_days(memory: Path, days: int, remembered: bool) -> None:
    memory.parent.mkdir()
    row = {"url": URL, "machine_id": 7, "reason": "x", "at": time.time() - days * 86400}
    memory.write_text(json.dumps(row) + "\n")

    assert (7 in BadMachines(URL).ids()) == remembered


def test_the_reason_is_kept_for_a_person(memory: Path) -> None:
    BadMachines(URL).add(7, 'advertised "RTX 4090"\nshows é')

    [line] = filter(None, memory.read_text().splitlines())
    assert json.loads(line)["reason"] == 'advertised "RTX 4090"\nshows é'


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=20), st.data())
def test_a_line_that_a_crash_cut_off_hides_no_other(memory: Path, reason: str, data: st.DataObject) -> None:
    memory.unlink(missing_ok=True)
    BadMachines(URL).add(7, "first")
    whole = memory.read_bytes()
    BadMachines(URL).add(8, reason)
    cut = data.draw(st.integers(len(whole), len(memory.read_bytes()) - 2))
    memory.write_bytes(memory.read_bytes()[:cut])

    assert BadMachines(URL).ids() == {7}
    BadMachines(URL).add(9, "after the crash")
    assert BadMachines(URL).ids() == {7, 9}


def gone_machine(**changed: object) -> dict[str, object]:
    return {"instance_id": 7.0, "price": 0.5, "rented": time.time() - 3600, **changed}


def test_a_machine_that_is_gone_is_remembered_once_and_for_its_resource_and_market() -> None:
    GoneMachines(URL).add("fragua:a:b:", gone_machine())
    GoneMachines(URL).add("fragua:a:b:", gone_machine(price=9.0))
    GoneMachines(URL).add("fragua:a:c:", gone_machine(instance_id=8.0))
    GoneMachines("http://127.0.0.1:1").add("fragua:a:b:", gone_machine(instance_id=9.0))

    [found] = GoneMachines(URL).of("fragua:a:b:")
    assert (found.instance, found.rate) == (7, 0.5)
    assert found.until - found.rented == pytest.approx(3600, abs=5)


def test_a_state_that_does_not_say_when_a_machine_was_rented_tells_nothing(memory: Path) -> None:
    GoneMachines(URL).add("fragua:a:b:", gone_machine(rented=None))

    assert not memory.parent.exists()


def test_a_machine_is_gone_though_that_cannot_be_written_down(memory: Path) -> None:
    memory.parent.write_text("no folder")
    GoneMachines(URL).add("fragua:a:b:", gone_machine())

    assert memory.parent.read_text() == "no folder"
