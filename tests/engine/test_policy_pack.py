"""The policy pack in the real engine: what a team does not allow is said at preview, and never rented."""

import json
from pathlib import Path
from typing import Any

import pytest
from engine_runs import Cloud, MakeStack

from toolchain.bootstrap import ROOT


@pytest.fixture
def pack(tmp_path: Path) -> Any:
    """Return the CLI's options for the pack with a team's settings."""

    def options(path: str = "program/policy", **settings: Any) -> list[str]:
        file = tmp_path / "team.json"
        file.write_text(json.dumps({name.replace("_", "-"): value for name, value in settings.items()}))
        return ["--policy-pack", path, "--policy-pack-config", str(file)]

    return options


def test_what_is_not_allowed_is_said_at_preview_and_not_rented_without_one(
    make_stack: MakeStack, cloud: Cloud, pack: Any
) -> None:
    stack = make_stack("forbidden", override__node__max_price=1.5)
    stack.configure(**{"override__node__ports[0]": 8188})
    settings = {
        "max_hourly": {"machine": 1, "stack": 1.2},
        "max_stack_total": {"total": 0.01},
        "countries": {"forbidden": ["SE"]},
        "required_tags": {"tags": ["team="]},
    }
    preview = stack.try_("preview", *pack(**settings))
    executable = ROOT / "policy/pulumi-analyzer-policy-fragua"
    up = stack.try_("up", "--yes", "--skip-preview", *pack(str(executable), **settings))

    assert preview.code != 0
    for says in (
        "[mandatory]  max-hourly  (pulumi-python:dynamic/vast:Instance: node)",
        "it may cost 1.5 $/h, and at most 1 $/h is allowed for a machine: lower node.max_price in the job",
        "with it the stack may cost 1.5 $/h, and at most 1.2 $/h is allowed",
        "[mandatory]  max-stack-total",
        "it may be rented in SE: add that to node.avoid in the job file",
        "port 8188 is ComfyUI's",
        "its label lacks 'team='",
    ):
        assert says in preview.output
        assert says in up.output
    assert up.code != 0
    assert cloud.contracts("forbidden/") == []


def test_what_is_allowed_is_rented_and_advice_holds_nothing_up(
    make_stack: MakeStack, cloud: Cloud, pack: Any
) -> None:
    stack = make_stack("allowed", override__node__label="allowed team=art")
    stack.configure(**{"override__node__avoid[0]": "CN"})
    every = pack(
        max_hourly={"machine": 1, "stack": 1},
        max_job_total={"total": 20},
        max_stack_total={"total": 20},
        countries={"forbidden": ["CN"]},
        no_public_comfyui={"ports": [8188]},
        required_tags={"tags": ["team="]},
    )
    assert "mandatory" not in stack.pulumi("preview", *every)
    options = pack(
        max_hourly={"machine": 1},
        max_job_total={"total": 20},
        required_tags={"tags": ["team="]},
        countries={"allowed": ["AQ"], "enforcementLevel": "advisory"},
        rented_country="advisory",
    )
    output = stack.up(*options)

    assert "mandatory" not in output
    assert "it may be rented anywhere: set node.countries" in output
    [instance] = cloud.billing("allowed ")
    assert f"instance {instance} runs in " in output
    stack.destroy()
