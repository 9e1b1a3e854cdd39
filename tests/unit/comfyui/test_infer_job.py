"""An inference job as a whole: what it becomes on a machine, and what is refused before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from comfy.workflows import Models, catalogue
from components.errors import SpecError
from components.spec.infer import InferJob
from components.spec.load import placed
from components.stacks.asked import asked_by
from components.stacks.serve import Ready, ready

ROOT = Path(__file__).parents[3]


def example(tmp_path: Path, **changes: Any) -> Path:
    job = yaml.safe_load((ROOT / "configs/comfyui.yaml").read_text()) | changes
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(job, sort_keys=False))
    return path


def made(path: Path) -> Ready:
    job, place = placed(path)
    assert isinstance(job, InferJob)
    return ready(job, place, token=False)


def graph_file(tmp_path: Path, text: str | None = None) -> Path:
    checkpoint = "checkpoint-sd_xl_base_1.0.safetensors"
    found = catalogue(Models(checkpoint=checkpoint))["text-to-image"]
    graph = found.build(found.parameters.model_validate({"prompt": "x", "seed": 1}), "x")
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(graph) if text is None else text)
    return path


def test_the_example_serves_what_it_says() -> None:
    found = made(ROOT / "configs/comfyui.yaml").plan

    assert found.workflows == ("text-to-image", "image-to-image")
    assert [job.name for job in found.preparations] == ["comfyui-install", "model-checkpoint"]
    assert "main.py --listen 127.0.0.1 --port 18188" in found.comfyui.script
    offered = json.loads(found.catalogue)
    assert offered["models"]["checkpoint"] == "checkpoint-sd_xl_base_1.0.safetensors"
    assert offered["limits"]["max_side"] == 1536


def test_a_workflow_of_ones_own_is_offered_with_its_inputs(tmp_path: Path) -> None:
    nodes = {
        entry["class_type"]: name for name, entry in json.loads(graph_file(tmp_path).read_text()).items()
    }
    inputs = {"steps": {"node": nodes["KSampler"], "input": "steps", "default": 9, "maximum": 20}}
    workflow = {"name": "mine", "graph": str(tmp_path / "mine.json"), "inputs": inputs}
    found = made(example(tmp_path, workflows=[workflow])).plan

    assert found.workflows[-1] == "mine"
    assert json.loads(found.catalogue)["custom"][0]["inputs"]["steps"]["maximum"] == 20


def test_a_workflow_finds_the_models_under_the_names_that_it_knows(tmp_path: Path) -> None:
    graph = json.loads(graph_file(tmp_path).read_text())
    [loader] = [node for node, each in graph.items() if each["class_type"] == "CheckpointLoaderSimple"]
    graph[loader]["inputs"]["ckpt_name"] = "sd_xl_base_1.0.safetensors"
    workflow = {"name": "mine", "graph": str(graph_file(tmp_path, json.dumps(graph)))}
    offered = json.loads(made(example(tmp_path, workflows=[workflow])).plan.catalogue)
    name = offered["custom"][0]["graph"][loader]["inputs"]["ckpt_name"]

    assert name == offered["models"]["checkpoint"] == "checkpoint-sd_xl_base_1.0.safetensors"


def test_what_a_job_changes_changes_the_service_and_nothing_else(tmp_path: Path) -> None:
    one = made(example(tmp_path)).plan
    other = made(example(tmp_path, comfyui={"arguments": ["--highvram"]})).plan

    assert one.comfyui.digest != other.comfyui.digest
    assert one.install.digest == other.install.digest


def test_what_may_surprise_is_told_before_it_costs(tmp_path: Path) -> None:
    node = {"gpu": {"models": ["RTX 4O70 Ti S"], "count": 2}, "image": "vastai/comfy:latest", "bid": 0.2}
    warnings = made(example(tmp_path, node={**node, "disk": 60, "max_price": 1})).warnings

    assert [warning.split(": ")[1] for warning in warnings] == [
        "node.gpu.models",
        "node.gpu.count",
        "node.bid",
    ]
    assert warnings[0].endswith("; did you mean 'RTX 4070 Ti'?")


def test_all_replicas_have_a_port_for_the_balancer_that_may_move_among_them(tmp_path: Path) -> None:
    def ports(**gateway: Any) -> tuple[int, ...]:
        job, place = placed(example(tmp_path, replicas=2, gateway=gateway))
        assert isinstance(job, InferJob)
        return asked_by(job, place).node.ports

    assert ports() == (8000,)
    assert ports(front=1) == ports(front=2) == (8000, 8001)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"nodes": [], "links": []}', "Export (API)"),
        ("{", "not JSON"),
        ("[]", "no workflow in API format"),
        (
            '{"1": {"class_type": "VAELoader", "inputs": {"vae_name": "x.safetensors"}}}',
            "x.safetensors is not among models",
        ),
        ('{"1": {"class_type": "CheckpointLoaderSimpel", "inputs": {}}}', "CheckpointLoaderSimpel"),
    ],
)
def test_a_wrong_workflow_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = graph_file(tmp_path, text)
    path = example(tmp_path, workflows=[{"name": "mine", "graph": str(file)}])
    with pytest.raises(SpecError) as refused:
        made(path)

    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"workflows": [{"name": "mine", "graph": "/no/such.json"}]}, "/no/such.json: No such file"),
        ({"models": {"checkpoint": {"local": "/no/a.safetensors"}}}, "/no/a.safetensors: no such file"),
        ({"comfyui": {"arguments": ["--listen=0.0.0.0"]}}, "fragua sets where ComfyUI listens"),
        ({"comfyui": {"arguments": ["--liste", "0.0.0.0"]}}, "fragua sets where ComfyUI listens"),
        ({"comfyui": {"install": "image"}}, "which needs both"),
        (
            {"node": {"gpu": {"models": ["A100"]}, "image": "a/b", "disk": 9, "max_price": 1}},
            "node.image is a/b: take vastai/comfy",
        ),
        ({"gateway": {"limits": {"min_side": 2048, "max_side": 1024}}}, "no size is left"),
        ({"gateway": {"limits": {"multiple": 20}}}, "multiple of 8"),
        ({"gateway": {"tokens": []}}, "must not be empty"),
        (
            {"gateway": {"tokens": ["Pedro"]}},
            "write at most 41 of a to z, 0 to 9, '_' and '-'; found 'Pedro'",
        ),
        ({"workflows": [{"name": "My own", "graph": "a.json"}]}, "write words of a to z and 0 to 9"),
        ({"workflows": [{"name": "mine", "graph": "a.png"}]}, "name a .json file"),
        ({"training": {"epochs": 2}}, "training: unknown key here; it belongs to a job of kind train"),
        ({"gateway": {"expose": "world"}}, "'tls' or 'tunnel'"),
        ({"replicas": 0}, "greater than or equal to 1"),
        ({"replicas": 2, "gateway": {"front": 3}}, "there is no replica 3: replicas is 2"),
        ({"gateway": {"front": 1, "expose": "tunnel"}}, "set expose to tls"),
        (
            {"comfyui": {"custom_nodes": [{"url": "https://example.org/a", "commit": "main"}]}},
            "write the commit's whole hash",
        ),
    ],
)
def test_a_job_that_cannot_be_is_refused_with_its_place(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    path = example(tmp_path, **changes)
    with pytest.raises(SpecError) as refused:
        made(path)

    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{path}:")
