"""What a person adds to the command is taken or refused as sd-scripts' own parsers would."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from components.kohya.options import FULL, LORA, Option, Script, check_extra, options, values

RECORDED = json.loads((Path(__file__).parents[1] / "data/sd_scripts.json").read_text())["options"]
"""The parsers' options as another reader of them wrote them down."""

BY_NAME = {(script, name): option for script in (FULL, LORA) for name, option in options(script).items()}
EVERY = sorted(BY_NAME)


def recorded(script: Script) -> set[str]:
    kinds = [*RECORDED["both"].values(), *RECORDED[script].values()]
    return {name for names in kinds for name in names}


@pytest.mark.parametrize("script", [FULL, LORA])
def test_the_table_has_the_options_of_the_parsers(script: Script) -> None:
    assert recorded(script) <= set(options(script))
    assert len(options(script)) == {FULL: 176, LORA: 196}[script]


def valid(option: Option) -> st.SearchStrategy[Any]:
    """Values that the parser takes for `option`."""
    words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9)
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "flag": st.just(True),
        "text": words,
        "int": st.integers(-(10**6), 10**6),
        "float": st.floats(0, 1e6).map(float) | st.floats(0, 1).map(str),
        "int_or_float": st.integers(0, 10**6) | st.floats(0, 0.99) | st.just("10%"),
    }
    one = st.sampled_from(option.choices) if option.choices else kinds[option.type]
    return st.lists(one, max_size=3) if option.is_list else one


def parser(script: Script) -> ArgumentParser:
    """sd-scripts' parser, made of argparse alone."""

    def int_or_float(text: str) -> float:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return int(text) if float(text) >= 1 else float(text)

    found = ArgumentParser(allow_abbrev=False, exit_on_error=False)
    types: dict[str, Any] = {"int": int, "float": float, "int_or_float": int_or_float}
    for name, option in options(script).items():
        if option.type == "flag":
            found.add_argument(f"--{name}", action="store_true")
            continue
        convert = types.get(option.type, str)
        choices = [convert(choice) for choice in option.choices] or None
        found.add_argument(f"--{name}", type=convert, choices=choices, nargs="*" if option.is_list else None)
    return found


PARSERS = {script: parser(script) for script in (FULL, LORA)}


def words(name: str, value: Any) -> list[str]:
    if value is True:
        return [f"--{name}"]
    return [f"--{name}", *map(str, value if isinstance(value, list) else [value])]


@pytest.mark.parametrize("named", EVERY, ids="/".join)
def test_a_valid_value_is_taken_by_the_check_and_by_the_parser(named: tuple[Script, str]) -> None:
    script, name = named

    @settings(max_examples=5)
    @given(valid(BY_NAME[named]))
    def is_taken(value: Any) -> None:
        assert check_extra(script, {name: value}) == []
        parsed = PARSERS[script].parse_args(words(name, value))
        assert getattr(parsed, name) == values(script, {name: value})[name]

    is_taken()


@pytest.mark.parametrize("named", EVERY, ids="/".join)
def test_a_letter_too_many_is_refused_with_the_right_name(named: tuple[Script, str]) -> None:
    script, name = named
    middle = len(name) // 2

    [problem] = check_extra(script, {name[:middle] + name[middle] + name[middle:]: True})
    assert problem.remedy == f"did you mean {name}?"


@given(st.sampled_from(EVERY), st.sampled_from(["--{}", "{}"]), st.sampled_from([str.upper, str.title]))
def test_hyphens_and_capitals_lead_to_the_right_name(
    named: tuple[Script, str], form: str, spell: Any
) -> None:
    script, name = named
    written = form.format(spell(name)).replace("_", "-")
    assume(written != name)

    [problem] = check_extra(script, {written: True})
    assert name in problem.remedy


@given(
    st.sampled_from(EVERY),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({}),
)
def test_the_check_takes_nothing_that_the_parser_refuses(named: tuple[Script, str], value: Any) -> None:
    script, name = named
    if check_extra(script, {name: value}) == [] and value is not False:
        PARSERS[script].parse_args(words(name, value))


@pytest.mark.parametrize("name", sorted(set(options(LORA)) - set(options(FULL))))
def test_an_option_of_the_lora_script_is_told_apart_from_an_unknown_one(name: str) -> None:
    [problem] = check_extra(FULL, {name: True})

    assert "sdxl_train_network.py has" in problem.reason
    assert problem.remedy == "remove it, or train a LoRA"


@pytest.mark.parametrize("name", sorted(set(options(FULL)) - set(options(LORA))))
def test_an_option_of_the_full_script_is_told_apart_from_an_unknown_one(name: str) -> None:
    [problem] = check_extra(LORA, {name: True})

    assert "sdxl_train.py has" in problem.reason
    assert problem.remedy == "remove it, or train a full fine-tune"


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (
            {"mixed_precision": False},
            "mixed_precision: takes one of no, fp16, bf16; found a yes or no; put it in quotes",
        ),
        (
            {"loss_type": "hubr"},
            "loss_type: takes one of l1, l2, huber, smooth_l1; found 'hubr'; did you mean huber?",
        ),
        ({"max_token_length": 75}, "max_token_length: takes one of 150, 225; found 75; choose one of them"),
        (
            {"save_precision": "fp32"},
            "save_precision: takes one of float, fp16, bf16; found 'fp32'; choose one of them",
        ),
        (
            {"weighted_captions": "yes"},
            "weighted_captions: is a flag and takes no value; found 'yes'; write true",
        ),
        ({"network_args": "conv_dim=8"}, "network_args: takes a list; found 'conv_dim=8'; write it in [ ]"),
        ({"seed": 4.5}, "seed: takes a whole number; found 4.5; correct it"),
        ({"noise_offset": "a bit"}, "noise_offset: takes a number; found 'a bit'; correct it"),
        ({"noise_offset": float("nan")}, "noise_offset: takes a number; found nan; correct it"),
        (
            {"lr_decay_steps": 1.0},
            "lr_decay_steps: takes a whole number of steps, or a share of all steps below 1; found 1.0; ",
        ),
        (
            {"training_comment": "--best"},
            "training_comment: '--best' begins with a hyphen, so that the parser takes it for another",
        ),
        ({"training_comment": None}, "training_comment: takes text; found None; write one value"),
        ({"--no_metadata": True}, "--no_metadata: has hyphens in front; write no_metadata"),
        (
            {"colour": 1},
            "colour: sdxl_train_network.py has no such option; did you mean color_aug?",
        ),
        (
            {"zzz": 1},
            "zzz: sdxl_train_network.py has no such option; look for its name in sd-scripts' documentation",
        ),
    ],
    ids=str,
)
def test_a_problem_says_what_is_accepted_and_what_to_do(extra: dict[str, Any], says: str) -> None:
    [problem] = check_extra(LORA, extra)

    assert str(problem).startswith(says)


def test_an_option_that_fragua_sets_is_refused_with_the_field_to_use() -> None:
    taken = {"output_name": "name", "output_dir": ""}
    extra = {"output_name": "cat", "--output_dir": "/tmp", "no_metadata": True}

    assert [str(problem) for problem in check_extra(LORA, extra, taken)] == [
        "output_name: fragua sets this option itself; use name instead",
        "--output_dir: fragua sets this option itself; leave it out",
    ]


def test_every_problem_is_found_at_once() -> None:
    extra = {"seed": "x", "nois_offset": 0.1, "loss_type": "l3", "min_snr_gamma": 5}

    assert [problem.option for problem in check_extra(LORA, extra)] == ["seed", "nois_offset", "loss_type"]
