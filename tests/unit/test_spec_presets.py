"""Presets fill in what a node leaves out, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_models import nodes, settings_of, train_job

from components.spec import gpus
from components.spec.node import Node
from components.spec.presets import PRESETS

NAMES = sorted(PRESETS)

OWN = st.fixed_dictionaries(
    {},
    optional={
        "disk": st.integers(8, 500),
        "bid": st.sampled_from([None, "auto", 0.2]),
        "max_price": st.sampled_from([0.5, 2]),
        "internet": st.fixed_dictionaries({}, optional={"down": st.just(7), "up": st.just(9)}),
        "gpu": st.fixed_dictionaries(
            {},
            optional={"vram": st.sampled_from([None, 8]), "count": st.just(2), "models": st.just(["A100"])},
        ),
        "countries": st.just(["NL"]),
    },
)


def merged(preset: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    parts = {key: {**preset.get(key, {}), **own.get(key, {})} for key in ("gpu", "internet")}
    return {**preset, **own, **parts}


@given(st.sampled_from(NAMES), OWN)
def test_what_a_node_says_goes_before_what_its_preset_says(name: str, own: dict[str, Any]) -> None:
    expected = Node.model_validate(merged(dict(PRESETS[name]), own))

    assert Node.model_validate({"preset": name, **own}) == expected


@given(st.sampled_from(NAMES), nodes())
def test_a_node_that_leaves_nothing_out_is_not_changed_by_a_preset(name: str, node: Node) -> None:
    assert Node.model_validate({"preset": name, **node.model_dump()}) == node


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_a_whole_node_that_keeps_no_trace_of_it(name: str) -> None:
    node = Node.model_validate({"preset": name})

    assert node.preset is None
    assert Node.model_validate(node.model_dump(mode="json", exclude_defaults=True)) == node


@pytest.mark.parametrize("name", NAMES)
def test_every_gpu_of_a_preset_is_one_that_has_its_vram(name: str) -> None:
    gpu = Node.model_validate({"preset": name}).gpu
    for model in gpu.models:
        assert max(size for each in gpus.names(model) for size in gpus.VRAM[each]) >= (gpu.vram or 0)


@pytest.mark.parametrize(("name", "lora"), [("finetune", None), ("lora", {})])
def test_a_training_fits_on_what_its_preset_names(name: str, lora: dict[str, Any] | None) -> None:
    job = train_job(node={"preset": name}, lora=lora, training={"epochs": 2})

    assert settings_of(job).shape.batch_size >= 2
