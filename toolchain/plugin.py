"""The `command` plugin: the official one where the engine can fetch it, else our stand-in.

The stand-in is `toolchain.command_plugin`. What is installed for it is a script of two lines that
takes the first `python` on PATH, which `engine_environment` makes this checkout's: no path of a
checkout is written down, so several checkouts can share one cache.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.console import say
from toolchain.environment import stand_in_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolchain.engine import Engine

_EXECUTABLE = "pulumi-resource-command"
_STAND_IN = b'#!/bin/sh\nexec python -P -m toolchain.command_plugin "$@"\n'
_TIMEOUT_S = 60.0


def ensure_command_plugin(engine: Engine, version: str, environment: Mapping[str, str]) -> None:
    """See to it that the engine finds a `command` plugin of this version.

    For an engine of ours the stand-in lies among the plugins of our PULUMI_HOME. For the user's
    own it lies in a folder at the end of PATH, and goes when the official plugin has come.

    Args:
        engine: The engine that is to find it.
        version: "1.2.1".
        environment: What the engine will run under.
    """
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    installed = home / "plugins" / f"resource-command-v{version}" / _EXECUTABLE
    stand_in = installed if engine.provided else stand_in_folder() / _EXECUTABLE
    if installed.exists() and not _is_script(installed):
        if stand_in != installed:
            stand_in.unlink(missing_ok=True)
        return
    if stand_in.exists():
        if stand_in.read_bytes() == _STAND_IN:
            return
    elif _fetched(engine, version, environment):
        return
    stand_in.parent.mkdir(parents=True, exist_ok=True)
    new = stand_in.with_suffix(".new")
    new.write_bytes(_STAND_IN)
    new.chmod(0o755)
    new.rename(stand_in)


def _is_script(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(2) == b"#!"


def _fetched(engine: Engine, version: str, environment: Mapping[str, str]) -> bool:
    """Whether the engine could fetch the official plugin."""
    say(f"fetching the command plugin {version}")
    try:
        subprocess.run(
            [engine.bin / "pulumi", "plugin", "install", "resource", "command", version],
            env=environment,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except subprocess.SubprocessError:
        say("it can't be fetched here; our own stand-in for it is used")
        return False
    return True
