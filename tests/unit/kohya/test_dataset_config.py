"""The dataset configuration is held against sd-scripts' strict schema, key by key."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sd_scripts_rules import misfits as recorded_misfits

from components.kohya.dataset_config import misfits, resolved
from components.kohya.options import data
from components.kohya.refusals import refusals

KEYS = data("dataset_keys.json")["keys"]
LEVELS = ("general", "dataset", "subset")

VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "bool": ([True, False], [1, "true"]),
    "int": ([1, 64], [1.0, True, "1"]),
    "float": ([0.0, 1.0], [0, True, "0.0"]),
    "text": (["", "lanczos"], [1, True]),
    "table": ([{}], ["", []]),
    "two ints": ([[1024, 768]], [[1024], [1024, 1.5], "1024,768", [1024, True]]),
    "two floats": ([[1.0, 2.0]], [[1, 2], 1.0]),
}


def config(level: str, key: str, value: Any) -> dict[str, Any]:
    subset: dict[str, Any] = {"image_dir": "images"}
    dataset: dict[str, Any] = {"resolution": 1024, "subsets": [subset]}
    general: dict[str, Any] = {}
    {"general": general, "dataset": dataset, "subset": subset}[level][key] = value
    return {"general": general, "datasets": [dataset]}


@pytest.mark.parametrize("key", sorted(KEYS))
def test_a_key_is_taken_on_its_levels_with_its_types_and_nowhere_else(key: str) -> None:
    types, levels = KEYS[key]["types"], KEYS[key]["levels"]
    right = [value for kind in types for value in VALUES[kind][0]]
    if "choices" in KEYS[key]:
        right = KEYS[key]["choices"]
    for level in LEVELS:
        for value in right:
            problems = [str(problem) for problem in misfits(config(level, key, value))]
            assert (problems == []) is (level in levels)
        if level in levels:
            for value in VALUES[types[0]][1] if len(types) == 1 else ["1024,768", True]:
                [problem] = misfits(config(level, key, value))
                assert problem.reason.startswith("takes ")


@pytest.mark.parametrize("key", sorted(KEYS))
@pytest.mark.parametrize("level", LEVELS)
def test_an_unknown_key_is_refused_with_the_nearest_right_one(key: str, level: str) -> None:
    [problem] = misfits(config(level, f"{key}s", 1))

    assert problem.option.endswith(f".{key}s")
    if level in KEYS[key]["levels"]:
        assert problem.remedy == f"did you mean {key}?"


@given(
    st.sampled_from(sorted(KEYS)),
    st.sampled_from(["dataset", "subset"]),
    st.booleans() | st.integers(-2, 2000) | st.floats(0, 2) | st.text(max_size=3),
)
def test_the_schema_agrees_with_the_one_that_was_recorded_from_the_source(
    key: str, level: str, value: Any
) -> None:
    # the first has choices, the second counts with masked_loss only, which a rule looks after, and the third
    # makes a subset one for fine-tuning, while recorded is the schema of the others
    if key not in ("resize_interpolation", "conditioning_data_dir", "metadata_file"):
        written = config(level, key, value)
        table = written["datasets"][0] if level == "dataset" else written["datasets"][0]["subsets"][0]
        assert bool(misfits(written)) == bool(recorded_misfits(table, level))


@pytest.mark.parametrize(
    ("level", "key", "value", "says"),
    [
        (
            "dataset",
            "validation_split",
            0,
            "datasets[0].validation_split: takes a number with a point; found 0; write 0.0",
        ),
        (
            "dataset",
            "is_reg",
            True,
            "datasets[0].is_reg: sd-scripts refuses this key in a dataset; put it in a subset",
        ),
        (
            "subset",
            "num_repeat",
            2,
            "datasets[0].subsets[0].num_repeat: sd-scripts knows no such key; did you mean num_repeats?",
        ),
        (
            "general",
            "resize_interpolation",
            "lanczo",
            (
                "general.resize_interpolation: takes one of lanczos, nearest, bilinear, linear, bicubic, "
                "cubic, area, box; found 'lanczo'; did you mean lanczos?"
            ),
        ),
    ],
)  # fmt: skip
def test_a_problem_names_the_place_and_the_remedy(level: str, key: str, value: Any, says: str) -> None:
    [problem] = misfits(config(level, key, value))

    assert str(problem) == says


def test_an_unknown_part_of_the_file_is_refused() -> None:
    [problem] = misfits({"dataset": []})

    assert str(problem) == "dataset: is no part of a dataset configuration; did you mean datasets?"


def test_a_subset_goes_before_its_dataset_then_general_the_command_and_the_default() -> None:
    written = {
        "general": {"num_repeats": 3, "flip_aug": True, "keep_tokens": 1},
        "datasets": [
            {
                "resolution": [512, 768],
                "num_repeats": 4,
                "flip_aug": False,
                "subsets": [{"image_dir": "a", "num_repeats": 5}, {"image_dir": "b"}],
            },
            {"subsets": [{"image_dir": "c"}]},
        ],
    }
    options = {"dataset_repeats": 9, "train_batch_size": 7, "resolution": "640", "keep_tokens": 8}
    first, second = resolved(written, options)

    assert [subset.num_repeats for subset in first.subsets] == [5, 4]
    assert [subset.num_repeats for subset in second.subsets] == [3]
    assert [subset.flip_aug for subset in (*first.subsets, *second.subsets)] == [False, False, True]
    assert (first.values.resolution, second.values.resolution) == ([512, 768], 640)
    assert (first.values.batch_size, second.subsets[0].keep_tokens) == (7, 1)
    assert first.values.bucket_reso_steps == 64


def test_what_the_schema_refuses_is_all_that_is_said() -> None:
    found = refusals("sdxl_train.py", {}, config("subset", "num_repeats", "many"))

    assert [problem.option for problem in found] == ["datasets[0].subsets[0].num_repeats"]
