"""Cases: a job as a person writes it, and the plan that follows from it, in one YAML file.

The job is written by hand and stays as it is; the plan below it is written by `rewrite.py`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from unit_models import found

from components.kohya.derive import derive
from components.kohya.ledger import Point
from components.kohya.plan import plan
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
    settings = derive(job, found(job, 40))
    steps = plan(job, settings, DATASET_DIGEST)
    launch = steps.launch
    return {
        "run": launch.run,
        "preparations": [each.name for each in steps.preparations],
        "base_model": steps.base_model.path,
        "derived": list(settings.notes),
        "steps": settings.steps,
        "dataset": launch.variants[0].dataset,
        "prompts": launch.prompts,
        "command": _by_option(launch.command(1, Point(0), launch.variants[0]) or []),
        "if the VRAM is not enough": [variant.why for variant in launch.variants[1:]],
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
