"""Right job files: what they mean, what an override does to them, and that nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from unit_models import BUDGETS, nodes, train_job, train_jobs

from components.errors import SpecError
from components.spec.infer import InferJob
from components.spec.load import KINDS, load
from components.spec.node import Node
from components.spec.train import TrainJob

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(train_job().model_dump(mode="json", exclude_none=True)))
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_job_file_that_fragua_ships_is_right(path: Path) -> None:
    assert load(path).node.max_price > 0


@given(train_jobs())
def test_a_job_survives_being_written_as_yaml(job: TrainJob) -> None:
    written = yaml.safe_dump(job.model_dump(mode="json", exclude_none=True), allow_unicode=True)

    assert KINDS["train"].model_validate(yaml.safe_load(written)) == job


@given(nodes(), BUDGETS, st.floats(0.01, 700), st.sampled_from(["infer", "machine"]))
def test_a_job_that_serves_survives_being_written_as_yaml(
    node: Node, budget: dict[str, Any], hours: float, kind: str
) -> None:
    parts = {
        "comfyui": {"install": "own"},
        "models": {"checkpoint": {"path": "/workspace/a.safetensors"}},
        "ready": "9m",
    }
    values = {"kind": kind, "node": node, "budget": {**budget, "hours": hours}}
    job = KINDS[kind].model_validate(values | (parts if kind == "infer" else {}))
    written = yaml.safe_dump(job.model_dump(mode="json", exclude_none=True), allow_unicode=True)

    assert KINDS[kind].model_validate(yaml.safe_load(written)) == job


@given(nodes())
def test_a_node_survives_the_properties_of_a_resource(node: Node) -> None:
    assert Node.model_validate(node.model_dump(mode="json", exclude_defaults=True)) == node


def test_the_kind_decides_the_model(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    node = "node: {gpu: {models: [A100]}, image: vastai/comfy, disk: 9, max_price: 1}\n"
    path.write_text(f"kind: infer\n{node}models: {{checkpoint: {{path: /workspace/a.safetensors}}}}\n")

    assert isinstance(load(path), InferJob)


def test_an_override_wins_over_the_file(job_file: Path) -> None:
    job = load(job_file, {"node": {"max_price": 0.7, "gpu": {"count": 2}}, "lora": {"dim": 8}})

    assert isinstance(job, TrainJob)
    assert (job.node.max_price, job.node.gpu.count, job.lora and job.lora.dim) == (0.7, 2, 8)


def test_an_override_keeps_what_it_does_not_name(job_file: Path) -> None:
    assert load(job_file, {"node": {"max_price": 0.7}}).node.gpu.models == ("RTX 4090",)


def test_an_override_replaces_a_list_as_a_whole(job_file: Path) -> None:
    assert load(job_file, {"node": {"gpu": {"models": ["A100"]}}}).node.gpu.models == ("A100",)


def test_an_override_may_add_a_part_that_the_file_lacks(job_file: Path) -> None:
    job = load(job_file, {"buckets": {"enabled": False}})

    assert isinstance(job, TrainJob)
    assert not job.buckets.enabled


def test_an_override_may_mend_the_file(job_file: Path) -> None:
    job_file.write_text(job_file.read_text().replace("max_price: 2.0", "max_price: 2000.0"))
    with pytest.raises(SpecError):
        load(job_file)

    assert load(job_file, {"node": {"max_price": 2}}).node.max_price == 2


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1.5h", 5400), (" 2 h ", 7200), ("1s", 1), ("720h", 2592000)],
)
def test_a_duration_is_read_with_its_unit(job_file: Path, written: str, seconds: float) -> None:
    assert load(job_file, {"node": {"limits": {"boot": written}}}).node.limits.boot == seconds


@pytest.mark.parametrize(
    ("written", "name"), [("RTX_4090", "RTX 4090"), ("A100", "A100"), ("RTX 9999 Xe", "RTX 9999 Xe")]
)
def test_a_gpu_may_be_spelled_as_the_cli_does_and_may_be_newer_than_the_table(
    job_file: Path, written: str, name: str
) -> None:
    assert load(job_file, {"node": {"gpu": {"models": [written]}}}).node.gpu.models == (name,)


def test_numbers_may_be_written_with_an_exponent(job_file: Path) -> None:
    job_file.write_text(job_file.read_text().replace("learning_rate: 0.0001", "learning_rate: 1e-4"))
    job = load(job_file)

    assert isinstance(job, TrainJob)
    assert job.training.learning_rate == 1e-4


def test_a_file_may_begin_with_a_byte_order_mark(job_file: Path) -> None:
    job_file.write_bytes(b"\xef\xbb\xbf" + job_file.read_bytes())

    assert load(job_file).kind == "train"


def test_a_job_cannot_be_changed(job_file: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(job_file).node.disk = 1
