"""Cases: a job as a person writes it, and the plan that follows from it, in one YAML file.

The job is written by hand and stays as it is; the plan below it is written by `rewrite.py`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml

from components.kohya.plan import arguments, base_model, dataset_toml, plan
from components.spec.load import load
from components.spec.train import TrainJob

PATHS = sorted(Path(__file__).parent.glob("*.yaml"))
DATASET_DIGEST = "0123456789abcdef"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, so that a diff shows which line changed."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def rewritten(path: Path) -> str:
    """Return the text of a case with its plan as it is now."""
    head = path.read_text(encoding="utf-8").partition("\nplan:\n")[0].rstrip()
    plan_now = yaml.dump(
        {"plan": _plan(_job(yaml.safe_load(head)["job"]))}, Dumper=_Dumper, sort_keys=False, width=10**6
    )
    return f"{head}\n\n{plan_now}"


def _job(written: dict[str, Any]) -> TrainJob:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(written, file)
        file.flush()
        job = load(Path(file.name))
    assert isinstance(job, TrainJob)
    return job


def _plan(job: TrainJob) -> dict[str, Any]:
    steps = plan(job, DATASET_DIGEST)
    model, download = base_model(job.base_model)
    return {
        "run": steps.run,
        "preparations": [each.name for each in steps.preparations],
        "base_model": download or model,
        "dataset": dataset_toml(job),
        "command": _by_option(arguments(job, model, f"runs/{steps.run}")),
        "checkpoint": steps.checkpoint,
        "logs": steps.logs,
    }


def _by_option(words: list[str]) -> list[str]:
    """Join each option with its values, for one line each."""
    lines: list[str] = []
    for word in words:
        if word.startswith("--") or word.endswith(".py") or not lines:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return lines
