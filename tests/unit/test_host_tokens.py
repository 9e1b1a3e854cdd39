"""Which tokens a stack has for the hosts that its job names, and what is said of those that it has not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pulumi.runtime import set_all_config

from cli.job import ready, run
from components.errors import SpecError
from components.spec.load import placed
from components.stacks.asked import asked_by
from components.stacks.secret import host_tokens

SERVING = """\
kind: infer
node: {preset: inference, max_price: 1}
models:
  checkpoint:
    url: https://civitai.com/api/download/models/1
    token: civitai
  loras:
    mine:
      url: https://store.example/a.safetensors
      token: my_store
    open: {huggingface: me/loras, file: a.safetensors}
"""
TRAINING = """\
kind: train
name: animal
node: {preset: lora, max_price: 1}
base_model: {huggingface: me/mine, file: a.safetensors, token: other_account}
dataset:
  archive:
    url: https://store.example/a.zip
    token: my_store
lora: {}
training: {epochs: 2, learning_rate: 1.0e-4}
"""
VARIABLES = ("HF_TOKEN", "CIVITAI_TOKEN", "MY_STORE_TOKEN", "OTHER_ACCOUNT_TOKEN")

Tokens = Callable[[str], dict[str, str]]


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    set_all_config({})


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    """Do what the program does with a job file's text, and return the scripts by name; each is a secret."""

    async def opened(text: str) -> dict[str, str]:
        found = host_tokens(*placed(written(tmp_path, text)))
        assert all([await output.is_secret() for output in found.values()])
        return {name: str(await output.future()) for name, output in found.items()}

    return lambda text: asyncio.run(opened(text))


def written(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text)
    return path


def test_each_token_is_left_under_its_name_from_the_stack_s_secrets_or_the_environment(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all_config({"civitai:token": "of-the-stack"}, ["civitai:token"])
    monkeypatch.setenv("CIVITAI_TOKEN", "of-the-environment")
    monkeypatch.setenv("MY_STORE_TOKEN", "mine\n")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")

    found = tokens(SERVING)

    lines = {name: script.splitlines()[4] for name, script in found.items()}
    assert lines == {
        "huggingface": "Authorization: Bearer hf_mine",
        "civitai": "Authorization: Bearer of-the-stack",
        "my_store": "Authorization: Bearer mine",
    }
    assert all(f"mv .fragua/secrets/{name}.token.$$ " in script for name, script in found.items())


def test_a_job_that_names_none_needs_none(tokens: Tokens) -> None:
    assert tokens("kind: machine\nnode: {preset: lora, max_price: 1}\n") == {}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (SERVING, [("6: models.checkpoint", "civitai"), ("10: models.loras.mine", "my_store")]),
        (TRAINING, [("4: base_model", "other_account"), ("8: dataset.archive", "my_store")]),
    ],
)
def test_a_token_that_is_nowhere_is_refused_with_line_field_and_remedy(
    tokens: Tokens, tmp_path: Path, text: str, missing: list[tuple[str, str]]
) -> None:
    with pytest.raises(SpecError) as caught:
        tokens(text)

    assert str(caught.value).splitlines() == [
        f"{tmp_path}/job.yaml:{where}.token: there is no token {name}: give it by "
        f"`pulumi config set --secret {name}:token`, or {name.upper()}_TOKEN in the environment"
        for where, name in missing
    ]


def test_what_can_be_no_token_is_refused_at_its_field_without_showing_it(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIVITAI_TOKEN", "two words")
    monkeypatch.setenv("MY_STORE_TOKEN", "mine")
    with pytest.raises(
        SpecError, match=r"job.yaml:6: models.checkpoint.token: the token civitai is "
    ) as caught:
        tokens(SERVING)

    assert "two words" not in str(caught.value)


def test_check_and_cost_need_no_token_and_check_says_which_the_stack_must_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTHER_ACCOUNT_TOKEN", "x")
    path = written(tmp_path, TRAINING)
    asked_by(*placed(path))
    run(path)

    *_, warning, last = capsys.readouterr().out.splitlines()
    assert last == "it can be trained"
    assert warning == (
        f"warning: {path}:8: dataset.archive.token: MY_STORE_TOKEN is not set here: "
        "the stack must have my_store:token"
    )


def test_who_may_fetch_makes_no_other_run(tmp_path: Path) -> None:
    alone = TRAINING.replace("    token: my_store\n", "").replace(", token: other_account", "")
    runs = [ready(written(tmp_path, text))[1].plan.launch.run for text in (TRAINING, alone)]

    assert alone.count("token") == 0
    assert runs[0] == runs[1]
