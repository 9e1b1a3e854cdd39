"""A training that cannot work is refused before anything is rented, with file, line, field and remedy."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml
from PIL import Image

from components.errors import SpecError
from components.spec.load import placed
from components.stacks.prepare import Prepared, prepare

RIGHT = """\
kind: train
name: animal
node:
  gpu:
    models: [A100]
    vram: 40
  image: vastai/pytorch:2.7.1
  disk: 60
  max_price: 3.00
packages: []
base_model:
  huggingface: stabilityai/sdxl
  file: sdxl.safetensors
dataset:
  path: images
lora:
  dim: 32
training:
  epochs: 10
  keep_last: 2
extra:
  highvram: true
"""

CASES = [
    pytest.param(case["edits"], case["says"], id=" ".join("".join(case["edits"].values()).split()))
    for cases in yaml.safe_load((Path(__file__).parent / "data/wrong_trainings.yaml").read_text()).values()
    for case in cases
]

COSINE = {
    "lora:\n  dim: 32\n": "",
    "  disk: 60": "  disk: 200\n  bid: 0.5",
    "  epochs: 10": "  epochs: 10\n  scheduler: cosine",
}


def pictures(folder: Path, names: str, captions: bool = True) -> None:
    folder.mkdir(parents=True)
    for name in names:
        cells = random.Random(f"{folder.name}{name}").randbytes(9 * 8 * 3)
        Image.frombytes("RGB", (9, 8), cells).resize((1024, 1024)).save(folder / f"{name}.png")
        if captions:
            (folder / f"{name}.txt").write_text(f"a cat {name}")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One right folder of images, and the wrong ones."""
    found = tmp_path_factory.mktemp("jobs")
    (found / "nothing").mkdir()
    pictures(found / "images", "abcd")
    pictures(found / "one", "a")
    pictures(found / "bare", "ab", captions=False)
    pictures(found / "blank", "ab")
    (found / "blank/a.txt").write_text("")
    pictures(found / "sets/one", "ab")
    pictures(found / "sets/two", "cd", captions=False)
    pictures(found / "numbered/10_cat", "ab")
    pictures(found / "numbered/dogs", "cd")
    return found


@pytest.fixture(autouse=True)
def _here(datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(datasets)


def prepared(edits: dict[str, str]) -> Prepared:
    """Do with the edited job file what the stack does before it declares anything."""
    text = RIGHT
    for old, new in edits.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    Path("job.yaml").write_text(text)
    job, place = placed(Path("job.yaml"))
    assert job.kind == "train"
    return prepare(job, place, token=False)


def test_the_job_that_the_wrong_ones_are_edits_of_is_right() -> None:
    assert prepared({}).warnings == ()


@pytest.mark.parametrize(("edits", "says"), CASES)
def test_a_training_that_cannot_work_is_refused_with_line_field_and_remedy(
    edits: dict[str, str], says: list[str]
) -> None:
    with pytest.raises(SpecError) as caught:
        prepared(edits)

    assert str(caught.value).replace(str(Path.cwd()), "HERE").splitlines() == says


def test_what_is_pushed_to_a_bucket_takes_room_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of 7 GB and a state of 15.4, which the trainer has removed already."""
    monkeypatch.setenv("RCLONE_CONFIG_STORE_TYPE", "s3")
    full = {"lora:\n  dim: 32\n": "", "  epochs: 10": "  epochs: 10\n  save_state: true"}
    needs = []
    for bucket in ({}, {"packages: []": "bucket: {remote: store, path: mine}"}):
        with pytest.raises(SpecError, match=r"60 GB are less than the (\d+) GB") as caught:
            prepared(full | bucket)
        needs.append(int(str(caught.value).partition("than the ")[2].split()[0]))

    assert needs[1] - needs[0] in (22, 23)


def test_what_is_accepted_by_name_is_only_told() -> None:
    found = prepared(COSINE | {"packages: []": "consent: [interrupted-schedule]"})

    [warning] = found.warnings
    assert warning == (
        "job.yaml:19: training.scheduler: a full fine-tune that resumes draws cosine over the epochs that "
        "are left: its rate jumps; take constant_with_warmup, or rent on demand (node.bid: null)"
    )


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("RTX 6090", "; did you mean 'RTX 5090'?"),
        ("RTX 5080 Ti", "; did you mean 'RTX 5070 Ti'?"),
        ("NVIDIA GeForce RTX 4090", "; did you mean 'RTX 4090'?"),
        ("T4", "; did you mean 'Tesla T4'?"),
        ("MI300X", ""),
    ],
)
def test_a_gpu_that_may_have_come_out_lately_is_asked_for_with_a_warning(model: str, meant: str) -> None:
    found = prepared(
        {"models: [A100]": f"models: [A100, {model}, RTX PRO 6000]", "  epochs: 10": "  precision: fp16"}
    )

    [warning] = found.warnings
    assert warning == (
        f"job.yaml:5: node.gpu.models: {model!r} is no GPU that is known here, and the market is asked for "
        f"it as it stands{meant}"
    )


def test_a_warmup_that_never_ends_and_a_rate_for_something_else_are_told() -> None:
    found = prepared({"  epochs: 10": "  steps: 10\n  warmup_steps: 10\n  learning_rate: 1.0e-6"})

    rate, warmup = found.warnings
    assert rate == (
        "job.yaml:21: training.learning_rate: at 1e-06, a rate for full fine-tunes, a LoRA learns next to "
        "nothing; set such as 1e-4"
    )
    assert warmup == (
        "job.yaml:20: training.warmup_steps: the whole training has 10 steps, so that the rate never reaches "
        "its height; take about a tenth of them"
    )


def test_what_has_no_effect_or_another_than_meant_is_told() -> None:
    found = prepared(
        {
            "  dim: 32": "  dim: 8\n  alpha: 32",
            "  epochs: 10": "  epochs: 10\n  text_encoder_rate: 1.0e-5",
            "  highvram: true": "  network_weights: ~/a.safetensors\nsamples:\n  every_epochs: 20\n"
            "  prompts: [{prompt: a cat}]",
        }
    )

    assert dict(warning.split(" ", 1)[1].split(": ", 1) for warning in found.warnings) == {
        "training.text_encoder_rate": "the LoRA trains no text encoder, so their rate has no effect; leave "
        "it out, or leave out lora.text_encoders: false",
        "lora.alpha": "the LoRA is scaled by 32/8, so that its steps overshoot; set half of lora.dim or the "
        "same",
        "samples.every_epochs": "the training has 10 epochs, so that no image is ever drawn; take fewer",
        "extra.network_weights": "~/a.safetensors is not brought to the machine; leave it out, unless its "
        "image has the file",
    }


def test_what_is_too_large_may_begin_where_it_may_become_smaller() -> None:
    edits = {
        "    models: [A100]\n    vram: 40\n": "    models: [RTX 3090]\n",
        "  epochs: 10": "  epochs: 10\n  batch_size: 64\n  on_oom: smaller",
    }

    assert any(note.startswith("node.gpu: this may not fit") for note in prepared(edits).settings.notes)
