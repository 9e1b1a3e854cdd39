"""What a run is called, and that its scripts do under bash what the plan says."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from unit_models import node, roomy, settings_of, train_job, train_jobs

from components.kohya.launch import Launch
from components.kohya.ledger import Point
from components.kohya.plan import plan
from components.spec.train import TrainJob


def launch_of(job: TrainJob, digest: str = "d1") -> Launch:
    return plan(job, settings_of(job), digest).launch


def run_of(digest: str = "d1", **changed: Any) -> str:
    return launch_of(train_job(**changed), digest).run


def training(**changed: Any) -> dict[str, Any]:
    return {"training": {"epochs": 2, "learning_rate": 1e-4, **changed}}


@pytest.mark.parametrize(
    "other",
    [
        {"digest": "d2"},
        {"name": "animal2"},
        {"lora": {"dim": 8}},
        {"lora": None},
        training(epochs=3),
        training(seed=7),
        {"dataset": {"path": "images", "repeats": 2}},
        {"buckets": {"enabled": False}},
        {"base_model": {"path": "/workspace/other.safetensors"}},
        {"node": node(gpu={"models": ["RTX 4090"], "count": 2})},
    ],
    ids=str,
)
def test_what_determines_the_result_makes_another_run(other: dict[str, Any]) -> None:
    assert run_of(**other) != run_of()


@pytest.mark.parametrize(
    "other",
    [
        {"node": node(max_price=9, image="other", gpu={"models": ["A100"]})},
        {"dataset": {"path": "/elsewhere/images"}},
        training(first_step="9m"),
        training(resolution=1024, optimizer="AdamW8bit"),
        {"lora": {"dim": 32}},
    ],
    ids=str,
)
def test_what_does_not_matter_to_the_result_keeps_the_run(other: dict[str, Any]) -> None:
    """Values written out that are the defaults count among it."""
    assert run_of(**other) == run_of()


@given(train_jobs())
def test_a_run_begins_with_the_name_of_the_job_and_everything_of_it_lies_under_it(job: TrainJob) -> None:
    launch = launch_of(roomy(job))

    assert launch.run.startswith(f"{job.name}-")
    assert launch.logs == f"runs/{launch.run}/logs"
    assert f"runs/{launch.run}/part-1" in (launch.command(1, Point(0), launch.variants[0]) or [])


class Machine:
    """A folder as the workspace of a machine whose programs are stand-ins that note their arguments."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.bin = workspace / "bin"
        self.bin.mkdir(parents=True)

    def program(self, name: str, script: str) -> None:
        path = self.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{script}")
        path.chmod(0o755)

    def run(self, script: str) -> int:
        path = f"{self.bin}:{os.environ['PATH']}"
        command = ["bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(command, cwd=self.workspace, env={"PATH": path}, check=False).returncode


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "work space")


@settings(max_examples=15)
@given(job=train_jobs())
@example(job=train_job(dataset={"path": "images", "class_tokens": '$HOME `id` \\ "q" it\'s END\nEND\n'}))
def test_the_training_script_hands_over_the_arguments_and_the_dataset_file(
    tmp_path_factory: pytest.TempPathFactory, job: TrainJob
) -> None:
    machine = Machine(tmp_path_factory.mktemp("machine") / "work space")
    machine.program("venv/bin/accelerate", 'printf "%s\\0" "$@" > arguments\n')
    (machine.workspace / ".fragua").mkdir()
    (machine.workspace / "dataset").mkdir()
    launch = launch_of(roomy(job))
    [variant, *_] = launch.variants

    assert machine.run(launch.part(1, Point(0), variant) or "") == 0
    words = (machine.workspace / "arguments").read_text().split("\0")[:-1]
    config = machine.workspace / launch.folder / "dataset.toml"
    assert words == (launch.command(1, Point(0), variant) or [])[1:]
    assert tomllib.loads(config.read_text()) == tomllib.loads(variant.dataset)
    assert (machine.workspace / launch.folder / "prompts.txt").read_text() == launch.prompts
