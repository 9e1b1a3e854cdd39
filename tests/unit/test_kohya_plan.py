"""What a run is called, and that its scripts do under bash what the plan says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from unit_models import node, train_job, train_jobs

from components.kohya.plan import SD_SCRIPTS_COMMIT, arguments, base_model, dataset_toml, plan
from components.spec.train import BaseModelSource, TrainJob

URL = BaseModelSource(url="https://example.org/a/sd_xl.safetensors?x=1")


def run_of(digest: str = "d1", **changed: Any) -> str:
    return plan(train_job(**changed), digest).run


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
        training(batch_size=1, resolution=1024, optimizer="AdamW8bit"),
        {"lora": {"dim": 32}},
    ],
    ids=str,
)
def test_what_does_not_matter_to_the_result_keeps_the_run(other: dict[str, Any]) -> None:
    """Values written out that are the defaults count among it."""
    assert run_of(**other) == run_of()


@given(train_jobs())
def test_a_run_begins_with_the_name_of_the_job_and_everything_of_it_lies_under_it(job: TrainJob) -> None:
    steps = plan(job, "d1")

    assert steps.run.startswith(f"{job.name}-")
    assert steps.checkpoint == f"runs/{steps.run}/output/{job.name}.safetensors"
    assert steps.logs == f"runs/{steps.run}/logs"


def test_a_model_that_is_on_the_machine_needs_no_download() -> None:
    steps = plan(train_job(), "d1")

    assert steps.base_model is None
    assert [job.name for job in steps.preparations] == ["install"]
    assert base_model(train_job().base_model) == ("/workspace/base.safetensors", "")


@pytest.mark.parametrize(
    "source",
    [
        {"url": "https://other.example.org/a/sd_xl.safetensors?x=1"},
        {"url": "https://example.org/a/sd_xl.safetensors?x=2"},
        {"huggingface": "a/b", "file": "sd_xl.safetensors"},
        {"url": "https://example.org/a/sd_xl.safetensors?x=1", "sha256": "0" * 64},
    ],
    ids=str,
)
def test_models_of_the_same_name_from_different_sources_are_different_files(source: dict[str, str]) -> None:
    assert base_model(BaseModelSource.model_validate(source))[0] != base_model(URL)[0]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a/sd_xl.safetensors",
        "https://example.org/api/download/models/128078",
        "https://example.org/",
        "https://example.org/it's%20$HOME?a=b&c='d'",
    ],
)
def test_a_downloaded_model_is_named_as_safetensors_in_one_folder(url: str) -> None:
    path = Path(base_model(BaseModelSource(url=url))[0])

    assert (path.parent, path.suffix) == (Path("models"), ".safetensors")


def test_a_hugging_face_model_comes_from_its_repository() -> None:
    _, script = base_model(BaseModelSource(huggingface="a/b", file="c/d.safetensors"))

    assert "https://huggingface.co/a/b/resolve/main/c/d.safetensors" in script


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
    steps = plan(job, "d1")

    assert machine.run(steps.training.script) == 0
    words = (machine.workspace / "arguments").read_text().split("\0")[:-1]
    config = machine.workspace / "runs" / steps.run / "dataset.toml"
    assert words == arguments(job, base_model(job.base_model)[0], f"runs/{steps.run}")[1:]
    assert tomllib.loads(config.read_text()) == tomllib.loads(dataset_toml(job))


CURL = 'while [ "$1" != -o ]; do shift; done\nprintf model > "$2"\necho "$3" >> asked\n'
RIGHT = hashlib.sha256(b"model").hexdigest()


@pytest.mark.parametrize("sha256", [None, RIGHT])
def test_a_model_is_downloaded_once(machine: Machine, sha256: str | None) -> None:
    machine.program("bin/curl", CURL)
    path, script = base_model(BaseModelSource(url="https://example.org/it's", sha256=sha256))

    assert [machine.run(script), machine.run(script)] == [0, 0]
    assert (machine.workspace / path).read_text() == "model"
    assert (machine.workspace / "asked").read_text() == "https://example.org/it's\n"


def test_a_model_with_another_hash_is_never_put_in_place(machine: Machine) -> None:
    machine.program("bin/curl", CURL)
    path, script = base_model(BaseModelSource(url="https://example.org/a", sha256="0" * 64))

    assert machine.run(script) != 0
    assert not (machine.workspace / path).exists()


def test_a_broken_download_is_never_put_in_place(machine: Machine) -> None:
    machine.program("bin/curl", CURL + "exit 18\n")
    path, script = base_model(URL)

    assert machine.run(script) == 18
    assert not (machine.workspace / path).exists()


def test_the_installation_pins_sd_scripts_and_can_be_run_again(machine: Machine) -> None:
    note = 'printf "%s " "$(basename "$0")" "$@" >> done\necho >> done\n'
    machine.program(
        "bin/uv", f'{note}[ "$1" != venv ] || {{ mkdir -p "$2/bin"; cp "$0" "$2/bin/python"; }}\n'
    )
    machine.program("bin/git", f'{note}[ "$1" != clone ] || mkdir -p "$3/.git"\n')
    script = plan(train_job(), "d1").install.script

    assert [machine.run(script), machine.run(script)] == [0, 0]
    done = (machine.workspace / "done").read_text().splitlines()
    assert sum(line.startswith("git clone ") for line in done) == 1
    assert sum(SD_SCRIPTS_COMMIT in line for line in done) == 2


def test_an_installation_whose_torch_sees_no_gpu_fails(machine: Machine) -> None:
    machine.program("bin/uv", "exit 0\n")
    machine.program("bin/git", "exit 0\n")
    machine.program("venv/bin/python", "exit 1\n")
    (machine.workspace / "sd-scripts/.git").mkdir(parents=True)

    assert machine.run(plan(train_job(), "d1").install.script) == 1
