"""Optimizers, schedules and networks are checked by name and argument, as sd-scripts looks them up."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.kohya.names import check_names, optimizer_of, relative_step
from components.kohya.options import data

TABLE = data("algorithms.json")
OWN = ("dadaptation", "lycoris")
"""What sd-scripts' requirements do not install."""

LITERALS: dict[str, tuple[list[str], list[str]]] = {
    "number": (["0", "0.5", "1e-8", "-0.8"], ["True", "'0'", "None", "(1,)"]),
    "int": (["4096"], ["0.5", "True", "'4'"]),
    "bool": (["True", "False"], ["1", "'True'"]),
    "text": (["'1:10,0.1'"], ["5"]),
    "2 numbers": (["(0.9,0.99)", "0.9,0.99", "[0.9, 0]"], ["0.9", "(0.9,)", "(0.9,'a')", "(0.9,0.9,0.9)"]),
    "3 numbers": (["(0.98,0.92,0.99)"], ["(0.9,0.99)"]),
}
TEXTS: dict[str, tuple[list[str], list[str]]] = {
    "number": (["1", "0.5", "-1e-3"], ["x", ""]),
    "int": (["8", "-1"], ["8.0", "", "eight"]),
    "bool": (["True", "false"], ["1", "yes"]),
    "share": (["0", "0.25", "1"], ["1.5", "-0.1", "x"]),
    "numbers": (["1,0.5,,0"], ["1,x"]),
    "23 ints": (["4," * 22 + "4"], ["4,4", "4," * 23 + "4", "4.5," * 22 + "4"]),
    "23 numbers": (["0.5," * 22 + "1"], ["1,1", "x," * 22 + "1"]),
    "weights": (["sine", "linear+0.25", "1,,0"], ["0.5", "sinus", "sine+x"]),
    "only True": (["True"], ["False", "1"]),
    "text": (["full"], [""]),
}


def says(**options: Any) -> list[str]:
    return [str(problem) for problem in check_names(options, OWN)]


def literal_arguments() -> list[tuple[str, dict[str, Any], str, str]]:
    optimizers = [
        ("optimizer_args", {"optimizer_type": name}, argument, kind)
        for name, entry in TABLE["optimizers"].items()
        for argument, kind in entry["arguments"].items()
    ]
    schedulers = [
        ("lr_scheduler_args", {"lr_scheduler": name}, argument, kind)
        for name, arguments in TABLE["schedulers"].items()
        for argument, kind in arguments.items()
    ]
    return optimizers + schedulers


@pytest.mark.parametrize(
    ("option", "chosen", "argument", "kind"),
    literal_arguments(),
    ids=[f"{next(iter(case[1].values()))}-{case[2]}" for case in literal_arguments()],
)
def test_each_argument_of_an_optimizer_and_a_schedule_takes_its_kind_of_value(
    option: str, chosen: dict[str, Any], argument: str, kind: str
) -> None:
    right, wrong = LITERALS[kind.rstrip("?")]
    wrong = [text for text in wrong if not (kind.endswith("?") and text == "None")]

    for text in right:
        assert says(**chosen, **{option: [f"{argument}={text}"]}) == []
    for text in wrong:
        [problem] = says(**chosen, **{option: [f"{argument}={text}"]})
        assert problem.startswith(f"{option}: {argument} takes ")
    [problem] = says(**chosen, **{option: [f"{argument}q=1"]})
    assert "has no argument" in problem
    assert f"did you mean {argument}?" in problem


@pytest.mark.parametrize(
    ("module", "argument", "kind"),
    [
        (module, argument, kind)
        for module, arguments in TABLE["networks"].items()
        for argument, kind in arguments.items()
    ],
)
def test_each_argument_of_a_network_takes_its_kind_of_value(module: str, argument: str, kind: str) -> None:
    right, wrong = (kind.split("|"), ["loragon"]) if "|" in kind else TEXTS[kind]

    for text in right:
        assert says(network_module=module, network_args=[f"{argument}={text}"]) == []
    for text in wrong:
        [problem] = says(network_module=module, network_args=[f"{argument}={text}"])
        assert f"{argument} takes " in problem


@given(st.sampled_from(sorted(TABLE["optimizers"])), st.sampled_from([str.lower, str.upper, str]))
def test_capitals_of_an_optimizer_do_not_count(name: str, spell: Any) -> None:
    assert says(optimizer_type=spell(name)) == []
    assert optimizer_of({"optimizer_type": spell(name)}) == name


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            {"optimizer_type": "adamw8"},
            "optimizer_type: there is no optimizer adamw8; did you mean AdamW8bit?",
        ),
        ({"optimizer_type": "adam"}, "optimizer_type: there is no optimizer adam; did you mean Adam?"),
        (
            {"optimizer_type": "DAdaptAda"},
            "optimizer_type: there is no optimizer DAdaptAda; did you mean DAdaptAd",
        ),
        (
            {"optimizer_type": "came"},
            "optimizer_type: there is no optimizer came; write pytorch_optimizer.CAME",
        ),
        (
            {"optimizer_type": "AdEMAMix8bit"},
            "optimizer_type: there is no optimizer AdEMAMix8bit; write bitsandbytes.optim.AdEMAMix8bit",
        ),
        (
            {"optimizer_type": "sophia.SophiaG"},
            "optimizer_type: sophia.SophiaG needs the package sophia, which sd-scripts' requirements do not ",
        ),
        (
            {"optimizer_type": "a-b.C"},
            "optimizer_type: 'a-b.C' is no class of Python; write a path such as package.Class",
        ),
        (
            {"lr_scheduler": "cosine_warmup"},
            "lr_scheduler: there is no scheduler cosine_warmup; did you mean",
        ),
        ({"lr_scheduler": "Cosine"}, "lr_scheduler: there is no scheduler Cosine; did you mean cosine?"),
        (
            {"lr_scheduler": "reduce_lr_on_plateau"},
            "lr_scheduler: there is no scheduler reduce_lr_on_plateau; ",
        ),
        (
            {"lr_scheduler": "adafactor"},
            "lr_scheduler: adafactor lacks its learning rate; write it as adafactor:1e-4",
        ),
        ({"lr_scheduler_type": "Step LR"}, "lr_scheduler_type: 'Step LR' is no class of Python; "),
        ({"network_module": "lora"}, "network_module: there is no network module lora; "),
        (
            {"network_module": "networks.lorra"},
            "network_module: there is no network module networks.lorra; did you mean networks.lora?",
        ),
        (
            {"network_module": "networks.lora_flux"},
            "network_module: networks.lora_flux is for FLUX.1, not for SDXL; write networks.lora",
        ),
        (
            {"network_module": "networks.lora", "network_args": ["algo=loragon"]},
            "network_args: networks.lora ignores the unknown argument algo; remove it, or take ",
        ),
        (
            {"network_module": "lycoris.kohya", "network_args": ["algo=loragon"]},
            "network_args: algo takes one of lora, locon, loha,",
        ),
        (
            {"network_module": "networks.lora", "network_args": ["conv_dim"]},
            "network_args: 'conv_dim' is not of the form name=value; write such as conv_dim=8",
        ),
        (
            {"network_module": "networks.oft", "network_args": ["enable_conv=False"]},
            "network_args: enable_conv takes True: any other text, False too, counts as true. Leave it out",
        ),
        (
            {"optimizer_args": ["amsgrad=true"]},
            "optimizer_args: 'true' in 'amsgrad=true' is no literal of Python; write \"amsgrad=True\"",
        ),
        ({"optimizer_args": ["betas"]}, "optimizer_args: 'betas' is not of the form name=value; "),
        ({"optimizer_args": ["eps=1=2"]}, "optimizer_args: 'eps=1=2' is not of the form name=value; "),
        ({"optimizer_args": ["lr=1e-4"]}, "optimizer_args: AdamW has no argument lr; "),
        (
            {"optimizer_type": "Lion", "optimizer_args": ["eps=1e-8"]},
            "optimizer_args: Lion has no argument eps; ",
        ),
        (
            {"lr_scheduler": "piecewise_constant", "lr_scheduler_args": ["step_rules=1:10,0.1"]},
            "lr_scheduler_args: '1:10,0.1' in 'step_rules=1:10,0.1' is no literal of Python; write",
        ),
        (
            {"lr_scheduler_args": ["power=2"]},
            "lr_scheduler_args: constant has no argument power; remove it: it takes none",
        ),
    ],
    ids=str,
)
def test_a_wrong_name_or_argument_is_refused_with_the_remedy(options: dict[str, Any], problem: str) -> None:
    [found] = says(**options)

    assert found.startswith(problem)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer_type": ""},
        {"optimizer_type": "RMSprop", "optimizer_args": ["anything=(1, 'two')"]},
        {"optimizer_type": "pytorch_optimizer.CAME", "optimizer_args": ["weight_decay=0.01"]},
        {"optimizer_type": "prodigyplus.ProdigyPlusScheduleFree"},
        {"optimizer_type": "bitsandbytes.optim.AdEMAMix8bit"},
        {"use_8bit_adam": True, "optimizer_args": ["min_8bit_size=16384"]},
        {"optimizer_type": "Adafactor", "lr_scheduler": "adafactor"},
        {"optimizer_type": "AdamWScheduleFree", "lr_scheduler": "whatever"},
        {"lr_scheduler": "adafactor:1e-4"},
        {"lr_scheduler_type": "CosineAnnealingLR", "lr_scheduler_args": ["T_max=100"]},
        {"network_module": "networks.lora", "network_args": ["conv_dim=8", "conv_alpha=4"]},
        {"network_module": "lycoris.kohya", "network_args": ["preset=/a=b.toml"]},
    ],
    ids=str,
)
def test_what_sd_scripts_finds_is_taken(options: dict[str, Any]) -> None:
    assert says(**options) == []


@pytest.mark.parametrize(
    "options", [{"optimizer_type": "DAdaptAdam"}, {"network_module": "lycoris.kohya"}], ids=str
)
def test_what_is_not_installed_is_refused_unless_it_is(options: dict[str, Any]) -> None:
    [problem] = check_names(options)

    assert "which sd-scripts' requirements do not install" in problem.reason
    assert check_names(options, OWN) == []


@given(st.text(max_size=12), st.text(max_size=12))
def test_an_argument_is_taken_only_if_it_is_one_name_and_one_literal(name: str, value: str) -> None:
    item = f"{name}={value}"
    if not check_names({"optimizer_type": "RMSprop", "optimizer_args": [item]}):
        key, text = item.split("=")
        assert key.isidentifier()
        ast.literal_eval(text)


@pytest.mark.parametrize(
    ("arguments", "relative"),
    [
        ([], True),
        (["relative_step=True"], True),
        (["relative_step=False"], False),
        (["relative_step=False", "warmup_init=False"], False),
        (["relative_step=False", "warmup_init=True"], True),
    ],
)
def test_adafactor_finds_its_own_rate_unless_told_otherwise(arguments: list[str], relative: bool) -> None:
    assert relative_step({"optimizer_type": "adafactor", "optimizer_args": arguments}) is relative
    assert not relative_step({"optimizer_type": "AdamW", "optimizer_args": arguments})
