"""The engine that `./fragua` provides does a whole life cycle, with both plugins that we use."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from toolchain import bootstrap, cache, engine, versions
from toolchain.environment import engine_environment
from toolchain.plugin import ensure_command_plugin

PROJECT = """
name: toolchain
runtime: python
"""

PROVIDER = """
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider


class GreetingProvider(ResourceProvider):
    def create(self, props):
        return CreateResult("greeting-1", {**props, "text": f"Hello, {props['name']}"})

    def diff(self, _id, olds, news):
        return DiffResult(changes=olds["name"] != news["name"])


class Greeting(Resource):
    def __init__(self, resource_name, name):
        super().__init__(GreetingProvider(), resource_name, {"name": name, "text": None})
"""

PROGRAM = """
import pulumi
from greeting import Greeting
from pulumi_command.local import Command

greeting = Greeting("greeting", "world")
shout = Command("shout", create="tr a-z A-Z", stdin=greeting.text)
pulumi.export("shout", shout.stdout)
"""


@pytest.fixture
def pulumi(tmp_path: Path):
    pins = versions.load()
    found = engine.ensure(pins, cache.folder(), os.environ["PATH"])
    environment = {
        **os.environ,
        **engine_environment(bootstrap.ROOT, found),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
    }
    ensure_command_plugin(found, pins.command, environment)
    project = tmp_path / "project"
    for folder in (tmp_path / "state", project):
        folder.mkdir()
    (project / "Pulumi.yaml").write_text(PROJECT)
    (project / "greeting.py").write_text(PROVIDER)
    (project / "__main__.py").write_text(PROGRAM)

    def run(*arguments: str) -> str:
        command = [found.bin / "pulumi", *arguments, "--non-interactive"]
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def changes(preview: str) -> dict[str, int]:
    return json.loads(preview)["changeSummary"]


@pytest.mark.engine
def test_a_stack_is_previewed_made_found_unchanged_and_destroyed(pulumi):
    pulumi("stack", "init", "dev")

    assert changes(pulumi("preview", "--json")) == {"create": 3}
    pulumi("up", "--yes", "--skip-preview")
    assert pulumi("stack", "output", "shout").strip() == "HELLO, WORLD"
    assert changes(pulumi("preview", "--json")) == {"same": 3}

    pulumi("destroy", "--yes", "--skip-preview")
    assert json.loads(pulumi("stack", "export"))["deployment"].get("resources", []) == []
