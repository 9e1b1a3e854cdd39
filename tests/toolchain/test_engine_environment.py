"""The variables `pulumi` runs under."""

import os
from pathlib import Path

from toolchain.engine import Engine
from toolchain.environment import engine_environment

ROOT = Path("/home/someone/fragua")


def test_python_then_engine_come_first_on_path_the_policy_pack_last_and_each_only_once(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/opt/pulumi:/bin")
    engine = Engine(Path("/opt/pulumi"), provided=True)
    expected = f"{ROOT}/.venv/bin:/opt/pulumi:/usr/bin:/bin:{ROOT}/policy"
    assert engine_environment(ROOT, engine)["PATH"] == expected
    monkeypatch.setenv("PATH", expected)
    assert engine_environment(ROOT, engine)["PATH"] == expected


def test_an_engine_of_ours_has_a_home_of_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PULUMI_HOME", "/home/someone/.pulumi")
    variables = engine_environment(ROOT, Engine(Path("/opt/pulumi"), provided=True))
    assert variables["PULUMI_HOME"] == str(tmp_path / "fragua" / "pulumi-home")


def test_the_home_of_the_users_own_engine_is_left_alone(monkeypatch):
    monkeypatch.setenv("PULUMI_HOME", "/home/someone/.pulumi")
    assert "PULUMI_HOME" not in engine_environment(ROOT, Engine(Path("/usr/bin"), provided=False))


def test_an_odd_cache_setting_falls_back_to_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/path")
    variables = engine_environment(ROOT, Engine(Path("/opt/pulumi"), provided=True))
    assert variables["PULUMI_HOME"] == f"{tmp_path}{os.sep}.cache/fragua/pulumi-home"
