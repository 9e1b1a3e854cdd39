"""Each part of a run is a command that sd-scripts takes, and trains on nothing encoded for another."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_models import roomy, settings_of, train_job, train_jobs

from components.kohya.launch import Launch
from components.kohya.ledger import Point
from components.kohya.options import check_extra, options
from components.kohya.plan import plan
from components.spec.train import TrainJob

STATE, WEIGHTS = "part-1/animal-000001-state", "part-1/animal-000001.safetensors"

JOBS = train_jobs().map(
    lambda job: job.model_copy(update={"training": job.training.model_copy(update={"on_oom": "smaller"})})
)
BEGUN = st.sampled_from([{"state": STATE}, {"weights": WEIGHTS}])


def launch_of(job: TrainJob, digest: str = "d1") -> Launch:
    job = roomy(job)
    return plan(job, settings_of(job), digest).launch


def told(launch: Launch, words: list[str]) -> dict[str, Any]:
    """Read the words behind the script back into options, as its parser would."""
    place = next(index for index, word in enumerate(words) if word.endswith(f"/{launch.script}"))
    found: dict[str, list[str]] = {}
    for word in words[place + 1 :]:
        if word.startswith("--"):
            assert word[2:] not in found
            found[name := word[2:]] = []
        else:
            found[name].append(word)
    known = options(launch.script)
    return {
        name: values if len(values) > 1 or (name in known and known[name].is_list) else (values or [True])[0]
        for name, values in found.items()
    }


@given(JOBS, st.data())
def test_every_variant_of_every_part_is_taken_by_the_option_table(job: TrainJob, data: st.DataObject) -> None:
    launch = launch_of(job)
    done = data.draw(st.integers(0, launch.epochs - 1))
    begun = data.draw(BEGUN) if done else {}
    for index, variant in enumerate(launch.variants, 1):
        made = told(launch, launch.command(index, Point(done, steps_per_epoch=7, **begun), variant) or [])

        assert check_extra(launch.script, made) == []
        assert made["output_dir"] == f"{launch.folder}/part-{index}"
        left = launch.epochs - (done if job.lora is None else 0)
        assert int(made["max_train_epochs"]) == left
        assert made.get("resume") == (f"{launch.folder}/{STATE}" if begun.get("state") else None)


@pytest.mark.parametrize("lora", [{}, None], ids=["lora", "full"])
def test_from_weights_alone_the_right_file_is_trained_on(lora: dict[str, Any] | None) -> None:
    launch = launch_of(train_job(lora=lora))
    words = launch.command(2, Point(1, weights=WEIGHTS, steps_per_epoch=7), launch.variants[0]) or []

    option = "network_weights" if lora is not None else "pretrained_model_name_or_path"
    assert told(launch, words)[option] == f"{launch.folder}/{WEIGHTS}"
    assert "resume" not in told(launch, words)


@given(JOBS)
def test_nothing_is_left_to_train_after_the_last_epoch(job: TrainJob) -> None:
    launch = launch_of(job)

    assert launch.part(2, Point(launch.epochs, state=STATE), launch.variants[0]) is None


ANIMAL = train_job()
CHANGES = {
    "nothing": (ANIMAL, "d1", True),
    "the length": (train_job(training={"epochs": 9}), "d1", True),
    "the network": (train_job(lora={"dim": 4}), "d1", True),
    "the batch": (train_job(training={"epochs": 2, "batch_size": 1}), "d1", True),
    "the base model": (train_job(base_model={"path": "/workspace/other.safetensors"}), "d1", False),
    "the VAE": (train_job(extra={"vae": "/workspace/vae.safetensors"}), "d1", False),
    "the dataset": (ANIMAL, "d2", False),
}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A workspace with a dataset, and a stand-in for the trainer that leaves encodings beside the images."""
    (tmp_path / ".fragua").mkdir()
    (tmp_path / "dataset/10_cat").mkdir(parents=True)
    for name in ("a.png", "a.txt", "10_cat/b.png", "10_cat/notes.npz"):
        (tmp_path / "dataset" / name).touch()
    program = tmp_path / "venv/bin/accelerate"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\ntouch dataset/a_1024x1024_sdxl.npz dataset/10_cat/b_te_outputs.npz\n")
    program.chmod(0o755)
    return tmp_path


def train(machine: Path, launch: Launch) -> set[str]:
    """Train a part and return the files that it began with in the dataset."""
    script = launch.part(1, Point(0), launch.variants[0]) or ""
    before, _, command = script.rpartition("exec ")
    listing = "find dataset -type f > begun\n"
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{before}{listing}exec {command}"], cwd=machine, check=True
    )
    return set((machine / "begun").read_text().replace("dataset/", "").split())


@pytest.mark.parametrize(("job", "digest", "kept"), CHANGES.values(), ids=CHANGES)
def test_encodings_are_removed_when_what_they_were_made_from_changes(
    machine: Path, job: TrainJob, digest: str, kept: bool
) -> None:
    own = {"a.png", "a.txt", "10_cat/b.png", "10_cat/notes.npz"}
    encoded = {"a_1024x1024_sdxl.npz", "10_cat/b_te_outputs.npz"}

    assert train(machine, launch_of(ANIMAL)) == own
    assert train(machine, launch_of(ANIMAL)) == own | encoded
    assert train(machine, launch_of(job, digest)) == (own | encoded if kept else own)
    assert train(machine, launch_of(job, digest)) == own | encoded


def test_encodings_that_came_with_the_dataset_are_not_trusted(machine: Path) -> None:
    (machine / "dataset/a_1024x1024_sdxl.npz").touch()

    assert "a_1024x1024_sdxl.npz" not in train(machine, launch_of(ANIMAL))
