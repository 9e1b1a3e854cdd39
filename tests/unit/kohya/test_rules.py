"""Each rule is broken by its case and kept by the nearest other; what fragua makes itself breaks none."""

from __future__ import annotations

from typing import Any

import pytest
from commands import command
from hypothesis import given
from rule_cases import CASES, FILE, NODE, Case
from unit_models import train_job, train_jobs

from components.kohya.names import check_names
from components.kohya.options import LORA, Script, check_extra
from components.kohya.problem import Severity
from components.kohya.refusals import RULES, refusals
from components.spec.train import TrainJob


def _merged(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (table | changes).items() if value is not None}


def broken(script: Script, changes: dict[str, Any]) -> set[str]:
    """Return the rules that fragua's default training breaks after those changes."""
    _, options, config = command(train_job(lora={} if script == LORA else None))
    options = _merged(options, {name: value for name, value in changes.items() if name not in (*NODE, *FILE)})
    [dataset] = config["datasets"]
    dataset |= {
        "subsets": [_merged(dataset["subsets"][0], changes.get("subset", {})), *changes.get("subsets", [])]
    }
    config = {
        "datasets": [_merged(dataset, changes.get("dataset", {})), *changes.get("datasets", [])],
        "general": changes.get("general", {}),
    }
    found = refusals(
        script,
        options,
        config,
        changes.get("gpus", 1),
        interruptible=changes.get("interruptible", False),
        packages=changes.get("packages", ()),
        models=changes.get("models", ()),
    )
    return {problem.rule for problem in found}


@pytest.mark.parametrize("case", CASES, ids=[case.rule for case in CASES])
def test_a_rule_is_broken_by_its_case_and_kept_by_the_nearest_other(case: Case) -> None:
    assert case.rule in broken(case.script, case.broken)
    assert case.rule not in broken(case.script, case.fine)


def test_every_rule_has_a_case_and_a_name_of_its_own() -> None:
    names = [rule.name for rule in RULES]

    assert sorted(set(names)) == sorted(names)
    assert set(names) == {case.rule for case in CASES}


@pytest.mark.parametrize("script", ["lora", "full"])
def test_the_default_training_has_no_problem(script: str) -> None:
    made, options, config = command(train_job(lora={} if script == "lora" else None))

    assert refusals(made, options, config) == []
    assert check_names(options) == []
    assert (
        check_extra(made, {name: value for name, value in options.items() if name != "optimizer_args"}) == []
    )


@given(train_jobs())
def test_no_valid_job_makes_a_command_that_would_be_refused(job: TrainJob) -> None:
    script, options, config = command(job)
    found = refusals(script, options, config, job.training.processes or job.node.gpu.count)

    assert [str(problem) for problem in found if problem.severity != Severity.WARNING] == []
    assert [str(problem) for problem in check_names(options)] == []
    assert [str(problem) for problem in check_extra(script, options)] == []


def test_the_worst_is_said_first() -> None:
    script, options, config = command(train_job())
    options |= {"clip_skip": 2, "v2": True}
    found = refusals(script, options, config, interruptible=True)

    assert [problem.severity for problem in found] == [Severity.ERROR, Severity.CONSENT, Severity.WARNING]


def test_a_reason_names_the_values_that_it_is_about() -> None:
    script, options, config = command(train_job(lora=None))
    options |= {"fused_backward_pass": True, "optimizer_type": "lion"}
    [problem] = refusals(script, options, config)

    assert problem.option == "fused_backward_pass"
    assert problem.reason.endswith("and the optimizer is Lion")


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_each_rule_says_in_one_line_why_and_what_to_do(rule: Any) -> None:
    assert len(rule.reason) > 15
    assert len(rule.remedy) > 3
    assert "\n" not in rule.reason + rule.remedy
    assert not rule.reason.endswith(".")
