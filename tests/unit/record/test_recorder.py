"""What a run cost on earlier machines, also where nobody saw one go."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from records import START
from runs import machine, run
from unit_models import roomy, settings_of, train_job

from cli.record import Recorder
from components.kohya.plan import plan
from components.kohya.run import Run
from components.record import store

FOUND: dict[str, Any] = {
    "instance": 2,
    "gpu": "1x RTX 4090",
    "pricePerHour": 0.4,
    "interruptible": False,
    "url": "https://console.vast.ai",
}


def recorder(home: Path) -> Recorder:
    job = roomy(train_job())
    launch = plan(job, settings_of(job), "d1").launch
    return Recorder(home, home, launch, Run(launch, home))


def test_a_machine_that_went_while_nobody_followed_costs_until_it_was_seen_last(tmp_path: Path) -> None:
    store.write(run(machines=(machine(1, price=0.5),), status="running", ended=None), tmp_path)
    seen = (START + timedelta(hours=3)).timestamp()
    os.utime(tmp_path / store.JSON, (seen, seen))
    found = recorder(tmp_path)
    found.machine(FOUND)

    assert found.before == pytest.approx(1.5)
    assert [each.released for each in found.record.machines] == [START + timedelta(hours=3), None]


def test_one_that_was_seen_to_go_costs_until_then_and_the_same_one_is_no_other(tmp_path: Path) -> None:
    lost = machine(1, price=0.5, released=START + timedelta(hours=1), why="no answer")
    store.write(run(machines=(lost, machine(2, price=0.4))), tmp_path)
    found = recorder(tmp_path)
    found.machine(FOUND)

    assert found.before == pytest.approx(0.5)
    assert len(found.record.machines) == 2
