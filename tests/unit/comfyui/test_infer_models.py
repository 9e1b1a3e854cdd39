"""The models of an inference job: where they lie, what ComfyUI sees of them, and what a stack has trained."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.comfyui import models as links_module
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


@pytest.mark.parametrize("url", ["https://example.org/download/1234", "https://example.org/4x.pth"])
def test_comfyui_sees_each_file_by_an_ending_that_it_loads(url: str) -> None:
    there = found(models(checkpoint={"url": url}))["checkpoint"]

    assert there.name.endswith(".safetensors")
    assert (there.path or "").endswith(".safetensors")


def test_a_local_file_that_is_not_the_demanded_one_is_refused() -> None:
    job = models(loras={"cat": {"local": "cat.safetensors", "sha256": SHA}})

    assert found(job, **{"loras.cat": SHA})["loras.cat"].path
    with pytest.raises(SpecError, match=rf"models\.loras\.cat\.sha256: cat\.safetensors has cd.*, not {SHA}"):
        found(job, **{"loras.cat": "cd" * 32})


def safetensors(path: Path, **metadata: str) -> Path:
    header = json.dumps(
        {"__metadata__": metadata, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(4))
    return path


class Node:
    """A machine's workspace, with models `a` and `b` in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.seen = root, root / "ComfyUI/models"
        self.a, self.b = (safetensors(root / f"models/{name}.safetensors", is_=name) for name in "ab")
        (self.seen / "loras").mkdir(parents=True)

    def link(self, **links: str) -> subprocess.CompletedProcess[str]:
        script = links_script(
            "ComfyUI", {f"loras/{name}.safetensors": f"models/{path}" for name, path in links.items()}
        )
        return subprocess.run(
            ["bash", "-s"], input=script, cwd=self.root, capture_output=True, text=True, check=False
        )

    @property
    def loras(self) -> dict[str, Path]:
        return {path.stem: path.readlink() for path in self.seen.glob("loras/*") if path.is_symlink()}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_models_are_linked_and_those_of_before_are_not(node: Node) -> None:
    own = node.seen / "loras/own.safetensors"
    own.write_text("a person's")
    (node.seen / "loras/theirs").symlink_to("/somewhere")

    for links, there in [
        ({"x": "a.safetensors", "y": "b.safetensors"}, {"x": node.a, "y": node.b}),
        ({"x": "a.safetensors", "y": "b.safetensors"}, {"x": node.a, "y": node.b}),
        ({"x": "b.safetensors"}, {"x": node.b}),
    ]:
        done = node.link(**links)
        assert (done.returncode, done.stderr) == (0, "")
        assert node.loras == {**there, "theirs": Path("/somewhere")}
    assert own.read_text() == "a person's"
    assert {path.name for path in (node.root / ".fragua").iterdir()} == {"models.linked"}


def test_all_that_is_missing_damaged_or_in_the_way_is_named_and_nothing_is_changed(node: Node) -> None:
    (node.seen / "loras/own.safetensors").write_text("a person's")
    (node.seen / "loras/theirs.safetensors").symlink_to(node.b)
    node.b.write_bytes(node.b.read_bytes()[:-1])
    safetensors(node.root / "models/page.pth").write_text("\n<!doctype html>")

    done = node.link(
        **dict.fromkeys(("fine", "own", "theirs"), "a.safetensors"),
        gone="gone.safetensors",
        cut="b.safetensors",
        page="page.pth",
    )

    assert done.returncode == 1
    cut, gone, own, page, theirs = done.stderr.splitlines()
    assert cut.startswith(f"the model loras/cut.safetensors cannot be loaded: {node.b}: it has ")
    assert cut.endswith("it is cut off or damaged")
    assert gone.startswith("the model loras/gone.safetensors is not there: put ")
    assert own == f"{node.seen}/loras/own.safetensors is not fragua's: move it away"
    assert "it is a web page, not a model" in page
    assert theirs == f"{node.seen}/loras/theirs.safetensors is not fragua's: move it away"
    assert node.loras == {"theirs": node.b}


@pytest.fixture
def comfyui(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, Any]]]:
    """What is posted to the port where ComfyUI listens."""
    posted: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, json.loads(body)))
            self.send_response(500 if len(posted) > 1 else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        monkeypatch.setattr(links_module, "COMFYUI_PORT", server.server_port)
        yield posted
        server.shutdown()


def test_comfyui_forgets_a_model_whose_name_means_another_now(
    node: Node, comfyui: list[tuple[str, Any]]
) -> None:
    node.link(x="a.safetensors")
    node.link(x="a.safetensors", y="a.safetensors")
    assert comfyui == []
    assert node.link(x="b.safetensors", y="a.safetensors").returncode == 0
    assert comfyui == [("/free", {"unload_models": True, "free_memory": True})]


def test_a_comfyui_that_does_not_forget_is_ended_for_its_supervisor_to_start_anew(
    node: Node, comfyui: list[tuple[str, Any]]
) -> None:
    comfyui.append(("", None))
    node.link(x="a.safetensors")
    with subprocess.Popen(["sleep", "60"]) as program:
        (node.root / ".fragua/comfyui.pid").write_text(str(program.pid))
        node.link(x="b.safetensors")

        assert program.wait(10) == -15


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


def test_a_trained_model_that_is_not_the_demanded_one_is_refused(tmp_path: Path) -> None:
    safetensors(tmp_path / "run/cat.safetensors", **LORA)

    with pytest.raises(SpecError, match=rf"models\.loras\.cat\.sha256: .*, not {SHA}"):
        trained("loras.cat", ServedModel(train="train", sha256=SHA), tmp_path, None)


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
        ("vae", {}, "a whole model: it belongs under models.checkpoint"),
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
