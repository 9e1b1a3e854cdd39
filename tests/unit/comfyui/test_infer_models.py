"""The models of an inference job: where they lie, what ComfyUI sees of them, and what a stack has trained."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.comfyui.models import Placed, links_script, placed
from components.comfyui.trained import checkpoint, trained
from components.errors import SpecError
from components.spec.models import Models, ServedModel

BASE = {"huggingface": "me/sdxl", "file": "base.safetensors"}
SHA = "ab" * 32


def models(**more: Any) -> Models:
    return Models.model_validate({"checkpoint": BASE, **more})


def found(job: Models, **hashes: str) -> dict[str, Placed]:
    return {each.key: each for each in placed(job, hashes, token=False)}


def test_a_model_is_seen_under_a_name_of_its_own_and_lies_by_its_content() -> None:
    job = models(
        refiner={"url": "https://example.org/a/base.safetensors"},
        upscaler={"url": "https://example.org/4x.pth"},
        loras={"cat": {"local": "~/x/my cat.safetensors"}, "dog": {"train": "train"}},
    )
    there = found(job, **{"loras.cat": SHA})

    assert [each.link for each in there.values()] == [
        "checkpoints/checkpoint-base.safetensors",
        "checkpoints/refiner-base.safetensors",
        "upscale_models/upscaler-4x.pth",
        "loras/cat.safetensors",
        "loras/dog.safetensors",
    ]
    assert there["loras.cat"].job is None
    assert (there["loras.cat"].path or "").startswith("models/my-cat-")
    assert there["loras.dog"].path is None
    names = [each.job.name for each in there.values() if each.job]
    assert names == ["model-checkpoint", "model-refiner", "model-upscaler"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({}, "give exactly one of huggingface, url, local, path and train; found none"),
        ({"train": "a", **BASE}, "found huggingface and train"),
        ({**BASE, "epoch": 3}, "they belong to `train`"),
        ({"local": "a.pth"}, "String should match pattern"),
        ({"train": "../a"}, "String should match pattern"),
    ],
)
def test_a_source_that_cannot_be_is_refused(source: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says.replace("(", r"\(")):
        ServedModel.model_validate(source)


def linked(workspace: Path, links: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = links_script("ComfyUI", links)
    return subprocess.run(
        ["bash", "-s"], input=script, cwd=workspace, capture_output=True, text=True, check=False
    )


def test_models_are_linked_and_those_of_before_are_not(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name in ("a", "b"):
        (tmp_path / "models" / name).write_text(name)
    own = tmp_path / "ComfyUI/models/loras/own.safetensors"
    own.parent.mkdir(parents=True)
    own.write_text("a person's")

    assert (
        linked(tmp_path, {"loras/x.safetensors": "models/a", "vae/v.safetensors": "models/b"}).returncode == 0
    )
    assert (tmp_path / "ComfyUI/models/loras/x.safetensors").read_text() == "a"
    assert linked(tmp_path, {"loras/x.safetensors": "models/b"}).returncode == 0
    assert (tmp_path / "ComfyUI/models/loras/x.safetensors").read_text() == "b"
    assert not os.path.lexists(tmp_path / "ComfyUI/models/vae/v.safetensors")
    assert own.read_text() == "a person's"


@pytest.mark.parametrize(
    ("link", "says"),
    [("loras/gone.safetensors", "is missing or empty"), ("loras/own.safetensors", "is a file of its own")],
)
def test_what_is_missing_or_in_the_way_is_named(tmp_path: Path, link: str, says: str) -> None:
    (tmp_path / "there").write_text("a")
    own = tmp_path / "ComfyUI/models/loras/own.safetensors"
    own.parent.mkdir(parents=True)
    own.write_text("a person's")
    done = linked(tmp_path, {link: "there" if "own" in link else "gone"})

    assert done.returncode == 1
    assert says in done.stderr
    assert link in done.stderr


def safetensors(path: Path, **metadata: str) -> Path:
    header = json.dumps(
        {"__metadata__": metadata, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(4))
    return path


LORA = {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}


def test_the_last_checkpoint_is_taken_or_that_of_an_epoch(tmp_path: Path) -> None:
    home = tmp_path / "train" / "cat-1"
    for number in ("000002", "000004"):
        safetensors(home / f"cat-{number}.safetensors")

    assert checkpoint(home, None).name == "cat-000004.safetensors"
    assert checkpoint(home, 2).name == "cat-000002.safetensors"
    safetensors(home / "cat.safetensors", ss_epoch="6")
    assert checkpoint(home, None).name == checkpoint(home, 6).name == "cat.safetensors"
    with pytest.raises(SpecError, match=r"no checkpoint of epoch 5; there is: 2, 4; .*fragua watch train"):
        checkpoint(home, 5)


def test_a_destroyed_stack_gives_its_newest_run(tmp_path: Path) -> None:
    for age, run in enumerate(["new", "old"]):
        os.utime(safetensors(tmp_path / run / "cat.safetensors", **LORA), (1000 - age, 1000 - age))
    source = ServedModel(train="train")

    assert trained("loras.cat", source, tmp_path, None)["source"].endswith("new/cat.safetensors")
    assert trained("loras.cat", source, tmp_path, f"{tmp_path}/old/")["source"].endswith(
        "old/cat.safetensors"
    )
    by_name = ServedModel(train="train", run="old")
    assert trained("loras.cat", by_name, tmp_path, None)["source"].endswith("old/cat.safetensors")


def test_another_content_goes_to_another_place(tmp_path: Path) -> None:
    source = ServedModel(train="train")
    file = safetensors(tmp_path / "run/cat.safetensors", **LORA)
    before = trained("loras.cat", source, tmp_path, None)["path"]
    safetensors(file, **LORA, changed="yes")

    assert trained("loras.cat", source, tmp_path, None)["path"] != before


@pytest.mark.parametrize(
    ("key", "metadata", "says"),
    [
        ("checkpoint", LORA, "is a LoRA: it belongs under models.loras"),
        ("loras.cat", {}, "a whole model: it belongs under models.checkpoint"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    tmp_path: Path, key: str, metadata: dict[str, str], says: str
) -> None:
    safetensors(tmp_path / "run/cat.safetensors", **metadata)

    with pytest.raises(SpecError, match=says):
        trained(key, ServedModel(train="train"), tmp_path, None)


def test_a_damaged_or_absent_checkpoint_is_said_with_the_remedy(tmp_path: Path) -> None:
    runs = tmp_path / "train"
    with pytest.raises(SpecError, match=r"\./fragua watch train"):
        trained("loras.cat", ServedModel(train="train"), runs, None)
    safetensors(runs / "run/cat.safetensors", **LORA).write_bytes(b"cut")
    with pytest.raises(SpecError, match=r"models\.loras\.cat: .*cat\.safetensors"):
        trained("loras.cat", ServedModel(train="train"), runs, None)
