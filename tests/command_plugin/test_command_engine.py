"""The stand-in under the real engine: a life of a local and of a remote command."""

import json
import os
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from toolchain import bootstrap, cache, engine, versions
from toolchain.environment import engine_environment

pytestmark = pytest.mark.engine

PROJECT = "name: commands\nruntime: python\n"

PROGRAM = """
import pulumi
from pulumi_command import local, remote

config = pulumi.Config()
generation = config.require("generation")
# The host is known only after a command has run, as that of a rented machine is.
host = local.Command(
    "host", create="printf 127.0.0.1", delete=f"touch {config.require('mark')}", triggers=[generation]
)
connection = remote.ConnectionArgs(
    host=host.stdout,
    port=config.require_float("port"),
    user="somebody",
    private_key=config.require_secret("key"),
    host_key=config.require("hostKey"),
)
copied = remote.CopyToRemote(
    "copied",
    connection=connection,
    source=pulumi.StringAsset("hello from a text"),
    remote_path="copied.txt",
    triggers=[generation],
)
command = remote.Command(
    "command",
    connection=connection,
    create="cat copied.txt; echo ' created' >> ran",
    stdin=config.get_secret("stdin"),
    delete="echo deleted >> ran",
    triggers=[generation],
    opts=pulumi.ResourceOptions(depends_on=[copied]),
)
pulumi.export("text", command.stdout)
pulumi.export("now", local.run_output(command="echo at once").stdout)
"""


@pytest.fixture
def pulumi(tmp_path, machine):
    found = engine.ensure(versions.load(), cache.folder(), os.environ["PATH"])
    home, project = tmp_path / "home", tmp_path / "project"
    plugin = home / "plugins" / "resource-command-v1.2.1" / "pulumi-resource-command"
    for folder in (plugin.parent, project, tmp_path / "state"):
        folder.mkdir(parents=True)
    plugin.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m toolchain.command_plugin "$@"\n')
    plugin.chmod(0o755)
    (project / "Pulumi.yaml").write_text(PROJECT)
    (project / "__main__.py").write_text(PROGRAM)
    environment = {
        **os.environ,
        **engine_environment(bootstrap.ROOT, found),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PYTHONPATH": str(REPOSITORY),
    }
    environment.pop("SSH_AUTH_SOCK", None)

    def run(*arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            [found.bin / "pulumi", *arguments, "--non-interactive", "-C", project],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("stack", "init", "dev")
    run("config", "set", "port", str(machine.port))
    run("config", "set", "hostKey", machine.connection()["hostKey"])
    run("config", "set", "mark", str(tmp_path / "deleted"))
    run("config", "set", "generation", "one")
    run("config", "set", "--secret", "key", stdin=machine.connection()["privateKey"])
    return run


def steps(preview: str) -> dict[str, str]:
    """What a preview means to do with each command, by its name."""
    urns = {each["urn"]: each["op"] for each in json.loads(preview)["steps"]}
    return {urn.rsplit("::", 1)[1]: op for urn, op in urns.items() if "command:" in urn}


def test_commands_live_and_die_under_the_real_engine(pulumi, machine, tmp_path):
    assert steps(pulumi("preview", "--json")) == {"host": "create", "copied": "create", "command": "create"}
    assert machine.dials == 0

    pulumi("up", "--yes", "--skip-preview")
    assert pulumi("stack", "output", "text").strip() == "hello from a text"
    assert pulumi("stack", "output", "now").strip() == "at once"
    assert machine.ran("created") == 1
    state = pulumi("stack", "export")
    assert "PRIVATE KEY" not in state
    assert "PRIVATE KEY" in pulumi("stack", "export", "--show-secrets")

    pulumi("preview", "--expect-no-changes")
    pulumi("refresh", "--yes", "--expect-no-changes")

    pulumi("config", "set", "--secret", "stdin", "more")
    assert steps(pulumi("preview", "--json"))["command"] == "update"
    pulumi("up", "--yes", "--skip-preview")
    assert (machine.ran("created"), machine.ran("deleted")) == (2, 0)

    pulumi("config", "set", "generation", "two")
    replacing = json.loads(pulumi("preview", "--json"))["steps"]
    replaced = {each["urn"].rsplit("::", 1)[1] for each in replacing if each["op"] == "replace"}
    assert replaced == {"host", "copied", "command"}
    pulumi("up", "--yes", "--skip-preview")
    assert (machine.ran("created"), machine.ran("deleted")) == (3, 1)
    assert (tmp_path / "deleted").exists()
    pulumi("preview", "--expect-no-changes")

    pulumi("destroy", "--yes", "--skip-preview")
    assert (machine.ran("created"), machine.ran("deleted")) == (3, 2)
    assert json.loads(pulumi("stack", "export"))["deployment"].get("resources") is None
