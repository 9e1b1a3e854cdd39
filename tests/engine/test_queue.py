"""`./fragua train`: from job files to checkpoints at home; several jobs in turn on one machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from engine_runs import Cloud, Done, MakeStack, Stack

from cli.job import ready
from components.record import store
from toolchain.bootstrap import ROOT

NAME = f"queue{os.getpid()}"


@pytest.fixture(scope="module")
def surroundings(make_stack: MakeStack) -> Iterator[Stack]:
    """A backend and an output folder; the stack in it is never brought up."""
    yield make_stack("surroundings")
    shutil.rmtree(ROOT / ".fragua/train" / NAME, ignore_errors=True)


def train(stack: Stack, *arguments: object) -> Done:
    command = [sys.executable, "-m", "cli", "train", "--stack", NAME, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=200, check=False
    )
    return Done(done.returncode, done.stdout + done.stderr)


def job(folder: Path, name: str, dataset: Path, **changed: object) -> Path:
    right = yaml.safe_load((ROOT / "configs/sdxl-lora.yaml").read_text())
    right |= {"name": name, "dataset": {"path": str(dataset), "repeats": 2}}
    right["training"]["epochs"] = 2
    right["node"]["image"] = "vastai/kohya:latest"
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(right | changed))
    return path


def homes(stack: Stack) -> dict[str, Path]:
    found = (stack.folder.parent / "output" / NAME).iterdir()
    return {path.name.rpartition("-")[0]: path for path in found}


def test_a_queue_trains_on_one_machine_and_survives_a_job_that_fails(
    surroundings: Stack, dataset: Path, cloud: Cloud, tmp_path: Path
) -> None:
    jobs = [
        job(tmp_path, "first", dataset),
        job(tmp_path, "nomodel", dataset, base_model={"huggingface": "no/such", "file": "m.safetensors"}),
        job(tmp_path, "last", dataset, lora={"dim": 8}, install="kohya-template"),
    ]
    done = train(surroundings, *jobs)

    assert done.code == 1
    assert done.output.count("huggingface.co answers 401 or 403") == 1
    assert len(cloud.contracts(f"{NAME}/")) == 1
    assert cloud.billing(f"{NAME}/") == []
    found = homes(surroundings)
    for name in ("first", "last"):
        assert (found[name] / f"{name}.safetensors").stat().st_size > 0
        record = store.read(found[name])
        assert record
        assert (record.status, len(record.checkpoints), record.checkpoints[-1].wrong) == ("done", 2, ())
        assert record.loss
        assert "<svg" in (found[name] / "run.html").read_text()
    assert "nomodel" not in found

    again = train(surroundings, jobs[0], jobs[2])
    assert again.code == 0
    assert again.output.count("is complete at home already") == 2
    assert len(cloud.contracts(f"{NAME}/")) == 1, "what is complete rents nothing"


def test_nothing_is_rented_for_a_queue_with_a_wrong_job(
    surroundings: Stack, dataset: Path, cloud: Cloud, tmp_path: Path
) -> None:
    other = job(tmp_path, "other", dataset)
    other.write_text(other.read_text().replace("max_price: 3.0", "max_price: 1.0"))
    wrong = job(tmp_path, "wrong", dataset, training={"scheduler": "cosine_warmup"})
    model = {"url": "https://civitai.com/api/download/models/128078", "token": "nowhere"}
    closed = job(tmp_path, "closed", dataset, base_model=model)
    before, one = len(cloud.contracts(f"{NAME}/")), job(tmp_path, "one", dataset)
    apart, refused, locked = (train(surroundings, *jobs) for jobs in ([one, other], [wrong], [one, closed]))

    assert apart.code == refused.code == locked.code == 1
    assert "base_model.token: there is no token nowhere: set NOWHERE_TOKEN in the env" in locked.output
    assert "node.max_price differs from" in apart.output
    assert "training.scheduler: " in refused.output
    assert "did you mean" in refused.output
    assert len(cloud.contracts(f"{NAME}/")) == before


def test_a_machine_is_left_up_where_its_training_cannot_be_kept_here(
    surroundings: Stack, dataset: Path, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAGUA_OUTPUT", surroundings.environment["FRAGUA_OUTPUT"])
    path = job(tmp_path, "kept", dataset)
    record = ready(path)[1].home(NAME) / "run.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")
    done = train(surroundings, path)

    assert done.code == 1
    assert "run.json" in done.output
    assert f"`./fragua pulumi destroy -s {NAME}` ends the billing" in done.output
    assert len(cloud.billing(f"{NAME}/")) == 1
    record.unlink()
    assert train(surroundings, path).code == 0
    assert cloud.billing(f"{NAME}/") == []
