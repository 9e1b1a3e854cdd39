"""Budgets: what is read, what is written, and how long is left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from unit_models import BUDGETS, node, train_job

from components.spec.base import told
from components.spec.budget import Budget
from components.spec.machine import MachineJob

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)


def read(text: str) -> Budget:
    return Budget.model_validate(yaml.safe_load(text))


@given(BUDGETS)
def test_a_budget_survives_being_written_as_yaml(values: dict[str, Any]) -> None:
    budget = Budget.model_validate(values)
    written = yaml.safe_dump(budget.model_dump(mode="json", exclude_defaults=True))

    assert Budget.model_validate(yaml.safe_load(written) or {}) == budget


@pytest.mark.parametrize("text", ["lease: off", "lease: 'off'", "lease: false", "lease: no"])
def test_off_is_off_however_yaml_reads_it(text: str) -> None:
    assert read(text).lease == "off"


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("deadline: 12h", 12),
        ("deadline: 2027-01-31T18:00+01:00", 5),
        ("deadline: 2027-01-31T18:00:00+01:00", 5),
        ("deadline: 2027-01-31 18:00:00Z", 6),
        ("deadline: 2027-01-31T06:00:00Z", -6),
        ("deadline: null", None),
    ],
)
def test_hours_are_counted_to_the_deadline_in_any_zone(text: str, hours: float | None) -> None:
    assert read(text).hours_until_deadline(NOON) == hours


@given(st.timedeltas(timedelta(-9), timedelta(9)), st.integers(-12, 12))
def test_a_deadline_is_past_where_no_hours_are_left(left: timedelta, zone: int) -> None:
    offset = timedelta(hours=zone)
    moment = (NOON + left + offset).replace(tzinfo=None).isoformat(timespec="microseconds")
    sign, size = "-" if zone < 0 else "+", abs(zone)
    found = Budget.model_validate({"deadline": f"{moment}{sign}{size:02}:00"}).hours_until_deadline(NOON)

    assert found == pytest.approx(left.total_seconds() / 3600)


@given(st.integers(1, 30 * 86400))
def test_a_duration_that_is_told_is_one_that_can_be_written(seconds: int) -> None:
    assert Budget.model_validate({"lease": told(seconds)}).lease == seconds


@pytest.mark.parametrize("bound", ["lease", "idle", "max_time"])
def test_what_leaves_just_enough_time_to_start_is_right_and_less_is_not(bound: str) -> None:
    limits = {"boot": "60s", "ssh": "40s"}
    job = {"kind": "machine", "node": node(limits=limits)}

    assert MachineJob.model_validate({**job, "budget": {"hours": 0.01, bound: "40s"}})
    with pytest.raises(ValueError, match=rf"budget\.{bound} 39s is shorter than"):
        MachineJob.model_validate({**job, "budget": {"hours": 0.01, bound: "39s"}})


@pytest.mark.parametrize(
    ("text", "hours"),
    [("{}", 24), ("max_time: 6h", 6), ("max_time: 48h", 24), ("{max_time: 6h, hours: 2}", 2)],
)
def test_a_machine_is_to_be_up_for_a_day_or_until_its_end(text: str, hours: float) -> None:
    assert read(text).up_hours == hours


@pytest.mark.parametrize(
    ("hours", "least", "less"),
    [({"hours": 2}, "145m", "144m"), ({}, "1465m", "24h"), ({"hours": 2}, "3h", "2h")],
)
def test_a_machine_that_serves_needs_to_start_and_its_hours_before_the_deadline(
    hours: dict[str, int], least: str, less: str
) -> None:
    job = {"kind": "machine", "node": node()}
    many = hours.get("hours", 24)

    assert MachineJob.model_validate({**job, "budget": {**hours, "deadline": least}})
    with pytest.raises(
        ValueError, match=rf"budget\.deadline {less} may .* the {many} hours .*boot 20m \+ .*ssh 5m"
    ):
        MachineJob.model_validate({**job, "budget": {**hours, "deadline": less}})


@pytest.mark.parametrize("bound", ["lease", "idle"])
def test_a_training_needs_its_lease_until_the_first_step(bound: str) -> None:
    training = {"epochs": 2, "learning_rate": 1e-4, "first_step": "50m"}

    assert train_job(training=training, budget={"lease": "off", "idle": "off", bound: "55m"})
    with pytest.raises(ValueError, match=rf"budget\.{bound} 54m is .*ssh 5m \+ training\.first_step 50m"):
        train_job(training=training, budget={"lease": "off", "idle": "off", bound: "54m"})
