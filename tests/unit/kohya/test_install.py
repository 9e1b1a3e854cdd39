"""The install job's script as text: every way and every extra. `tests/image` and `tests/machine` run it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Set as AbstractSet
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import SpecError
from components.kohya.install import EXTRAS, Way, trainer

ways = st.sampled_from(get_args(Way))
extras = st.sets(st.sampled_from(sorted(EXTRAS)))


@given(ways, extras)
def test_every_script_is_bash_and_pins_what_it_installs(way: Way, packages: AbstractSet[str]) -> None:
    script = trainer(way, packages).install.script

    subprocess.run(["bash", "-n"], input=script.encode(), check=True)
    assert all(pin in script for name, pin in EXTRAS.items() if name in packages)
    for line in re.findall(r"^ *packages (.+)$", script, re.MULTILINE):
        assert "--index-url" in line
        assert "==" in line or "$xformers" in line, line
    for line in re.findall(r"^ *(?:\(.*&& )?pinned (.+?)\)?$", script, re.MULTILINE):
        assert line == "-r requirements.txt tensorboard" or all("==" in word for word in line.split()), line


@given(ways, extras)
def test_the_job_is_the_same_for_the_same_wishes(way: Way, packages: AbstractSet[str]) -> None:
    forwards, backwards = sorted(packages), sorted(packages, reverse=True)

    assert trainer(way, forwards) == trainer(way, backwards)
    assert (trainer(way, packages) == trainer(way)) == (not packages)


def test_the_programs_are_where_the_way_puts_them() -> None:
    own, template = trainer("own"), trainer("kohya-template")

    assert (own.accelerate, own.scripts, own.tokenizers) == (
        "venv/bin/accelerate",
        "sd-scripts",
        "tokenizers",
    )
    assert (template.python, template.scripts) == ("/venv/main/bin/python", "sd-scripts")
    assert template.tensorboard == "/venv/main/bin/tensorboard"


def test_a_package_of_unknown_version_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"^flash-attn: no version is known to fit; there are .*deepspeed"):
        trainer("own", ["xformers", "flash-attn"])
