"""What can be known to be wrong is said at preview, in words and without a traceback; nothing is rented."""

from pathlib import Path

import pytest
from engine_runs import Cloud, MakeStack, Stack


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack) -> Stack:
    return make_stack("refused")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            {"override__node__max_prise": 1},
            "Pulumi.refused.yaml: override: node.max_prise: unknown key; did you mean 'max_price'?",
        ),
        ({"override__node__disk": 40960}, "looks like MiB, but this field is in GB: write 40"),
        ({"job": "configs/nothing.yaml"}, "configs/nothing.yaml: no such job file. There are: "),
        ({"job": "configs/sdxl-lora.yaml"}, "dataset: datasets/animal: no such folder in "),
    ],
)
def test_a_wrong_job_is_refused(config: dict[str, object], says: str, stack: Stack) -> None:
    stack.configure(**config)
    done = stack.try_("preview")
    stack.configure(**{name: None if name != "job" else "configs/machine.yaml" for name in config})

    assert done.code != 0
    assert says in done.output
    assert "Traceback" not in done.output


def test_a_dataset_without_captions_is_refused(make_stack: MakeStack, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    stack = make_stack("captionless", job="configs/sdxl-lora.yaml", override__dataset__path=tmp_path)
    done = stack.try_("preview")

    assert done.code != 0
    assert "has no caption a.txt" in done.output
    assert "Traceback" not in done.output


def test_a_preview_needs_neither_key_nor_network_and_up_says_what_is_missing(
    stack: Stack, cloud: Cloud
) -> None:
    here = {name: stack.environment.pop(name) for name in ("VAST_API_KEY", "VAST_URL")}
    stack.environment["VAST_URL"] = "http://127.0.0.1:9"
    assert stack.steps() == {"create": 3}
    done = stack.try_("up", "--yes", "--skip-preview")
    stack.environment.update(here)

    assert done.code != 0
    assert "no Vast.ai API key. Set one with" in done.output
    assert cloud.contracts("refused/") == []


def test_a_market_with_nothing_fitting_says_what_excludes_most(make_stack: MakeStack, cloud: Cloud) -> None:
    stack = make_stack("poor", override__node__max_price=0.001)
    done = stack.try_("up", "--yes", "--skip-preview")

    assert done.code != 0
    assert "no offer fits: 0 fit; not: " in done.output
    assert "dearer than 0.001 $/h" in done.output
    assert cloud.contracts("poor/") == []
    stack.destroy()
