"""What a person is told of a wrong job: file, line, key, what is wrong, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import SpecError
from components.spec.load import load

JOB = Path("job.yaml")

RIGHT = """\
kind: train
name: animal
node:
  gpu:
    models: [RTX 4090, A100]
    vram: 24
  image: vastai/pytorch:2.7.1
  disk: 60
  internet: {down: 200}
  max_price: 3.00
  limits: {boot: 20m}
base_model:
  huggingface: stabilityai/sdxl
  file: sdxl.safetensors
dataset:
  path: images
lora: {dim: 32}
training:
  epochs: 10
  learning_rate: 1.0e-4
"""

EDITS = [
    pytest.param(edit["old"], edit["new"], edit["says"], id=edit["new"] or f"without {edit['old'].strip()}")
    for edits in yaml.safe_load((Path(__file__).parent / "data/wrong_jobs.yaml").read_text()).values()
    for edit in edits
]

BEGINS = "job.yaml: a job file is a mapping that begins with `kind: train` or `kind: infer`"
FILES = {
    b"": BEGINS,
    b"# nothing yet\n": BEGINS,
    b"- kind: train\n": BEGINS,
    b"train\n": BEGINS,
    b"kind: train\nname: [a\n": (
        "job.yaml:3: not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"
    ),
    b"kind: train\n\tname: a\n": (
        "job.yaml:2: not YAML: while scanning for the next token, "
        "found character '\\t' that cannot start any token"
    ),
    b"kind: infer\n---\nkind: train\n": (
        "job.yaml:2: not YAML: expected a single document in the stream, but found another document"
    ),
    b"kind: *job\n": "job.yaml:1: not YAML: found undefined alias 'job'",
    b"kind: tr\0ain\n": (
        "job.yaml: not YAML: unacceptable character #x0000: special characters are not allowed"
    ),
    b"kind: train\nname: caf\xe9\n": "job.yaml: not UTF-8 text (invalid continuation byte at byte 21)",
}

OVERRIDES: list[tuple[Any, str]] = [
    ({"node": {"max_price": 500}}, "node.max_price: Input should be less than or equal to 128; found 500"),
    ({"node": {"max_pric": 1}}, "node.max_pric: unknown key; did you mean 'max_price'?"),
    ({"node": {"cpu": "x"}, "name": 5}, "name: must be text; put it in quotes; found 5"),
    (
        {"node": {"gpu": {"models": ["H10O"]}}},
        "node.gpu.models.0: Vast.ai lists no GPU named 'H10O'; did you mean 'H100'?",
    ),
    ({"node": {"bid": 4.0}}, "node: bid 4 $/h is above max_price 3 $/h"),
    ({"node": 3}, "node: must be a mapping of keys to values; found 3"),
    ({"node": None}, "node: must be a mapping of keys to values"),
    ({"kind": "trian"}, "kind: must be one of train, infer, machine; found 'trian'"),
    (
        {"zoo": "red"},
        (
            "zoo: unknown key; known here: kind, name, node, budget, install, packages, base_model, dataset, "
            "buckets, lora, training, samples, bucket, extra, consent"
        ),
    ),
    ("red", "must be a mapping with the job file's keys; found 'red'"),
    ([1], "must be a mapping with the job file's keys; found [1]"),
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problem(override: Any = None) -> str:
    with pytest.raises(SpecError) as caught:
        load(JOB, override, "Pulumi.train.yaml: override")
    return str(caught.value)


def test_the_job_that_the_wrong_ones_are_edits_of_is_right() -> None:
    JOB.write_text(RIGHT)

    assert load(JOB).kind == "train"


@pytest.mark.parametrize(("old", "new", "says"), EDITS)
def test_a_wrong_value_is_named_with_its_line_and_remedy(old: str, new: str, says: str) -> None:
    assert RIGHT.count(old) == 1
    JOB.write_text(RIGHT.replace(old, new))

    assert problem() == says


@pytest.mark.parametrize("content", FILES, ids=str)
def test_a_file_that_is_no_job_is_refused(content: bytes) -> None:
    JOB.write_bytes(content)

    assert problem() == FILES[content]


@pytest.mark.parametrize(("override", "says"), OVERRIDES, ids=[str(override) for override, _ in OVERRIDES])
def test_a_wrong_override_is_named_as_the_place(override: Any, says: str) -> None:
    JOB.write_text(RIGHT)

    assert f"Pulumi.train.yaml: override: {says}" in problem(override).splitlines()


def test_a_problem_that_the_override_did_not_touch_keeps_its_line() -> None:
    JOB.write_text(RIGHT.replace("{dim: 32}", "{dim: 0}"))

    assert problem({"node": {"max_price": 2}}) == (
        "job.yaml:17: lora.dim: Input should be greater than or equal to 1; found 0"
    )


def test_a_missing_file_is_refused_with_those_that_there_are() -> None:
    Path("other.yaml").touch()

    assert problem() == "job.yaml: no such job file. There are: other.yaml"


def test_a_missing_file_in_a_missing_folder_is_refused() -> None:
    with pytest.raises(SpecError, match=r"^configs/job\.yaml: no such job file\. There are: none$"):
        load(Path("configs/job.yaml"))


def test_a_folder_is_refused() -> None:
    JOB.mkdir()

    assert problem() == "job.yaml: cannot be read: Is a directory"
