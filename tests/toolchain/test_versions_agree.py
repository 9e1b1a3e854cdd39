"""The pins that must move together do, and versions compare as versions."""

import re

from hypothesis import given
from hypothesis import strategies as st

from toolchain import versions
from toolchain.bootstrap import ROOT
from toolchain.source import MODULES

PINS = versions.load()


def test_the_python_sdks_are_of_the_same_versions_as_engine_and_plugin():
    lock = (ROOT / "requirements.lock").read_text()
    assert re.findall(r"^pulumi==(\S+)", lock, re.MULTILINE) == [PINS.engine]
    assert re.findall(r"^pulumi-command==(\S+)", lock, re.MULTILINE) == [PINS.command]


def test_the_go_module_builds_the_same_engine_from_pinned_sources():
    module = (MODULES / "cli" / "go.mod").read_text()
    for part in ("pkg", "sdk"):
        assert f"github.com/pulumi/pulumi/{part}/v3 v{PINS.engine}" in module
    for name in ("cli", "language"):
        assert re.search(rf"^go {PINS.go_minimum}\b", (MODULES / name / "go.mod").read_text(), re.MULTILINE)
        assert (MODULES / name / "go.sum").stat().st_size > 0


def test_both_kinds_of_machine_have_a_digest():
    assert set(PINS.sha256) == {"x64", "arm64"}
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in PINS.sha256.values())


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=4),
    st.sampled_from(["", "-alpha.1", "+dirty", "rc1"]),
)
def test_versions_compare_by_their_numbers(numbers, suffix):
    assert versions.order("v" + ".".join(map(str, numbers)) + suffix) == tuple(numbers)


def test_what_is_no_version_is_older_than_any():
    assert versions.order("") == versions.order("dev") == ()
    assert versions.order("") < versions.order("0.0.1") < versions.order("3.99.0") < versions.order("3.229.0")
