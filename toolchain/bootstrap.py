"""What `./fragua` does first: the environment, the engine, the plugin; then it becomes `cli`.

With everything in place it prints nothing and takes a few hundredths of a second.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from toolchain import cache, engine, versions, virtualenv
from toolchain.environment import engine_environment
from toolchain.plugin import ensure_command_plugin

ROOT = Path(__file__).resolve().parent.parent

_WITHOUT_ENGINE = {"simulator", "help"}
"""Commands that never start Pulumi, so that nobody waits for it in vain."""


def main(arguments: list[str]) -> NoReturn:
    """Set up what the command needs, then run it in place of this process."""
    try:
        _run(arguments)
    except (virtualenv.VirtualenvError, engine.EngineError) as error:
        sys.exit(f"fragua: {error}")
    except KeyboardInterrupt:
        sys.exit("\nfragua: interrupted; the same command goes on from here")


def needs_engine(arguments: list[str]) -> bool:
    """Whether the command starts Pulumi: not without a command, nor when it only asks for help."""
    if not arguments or arguments[0] in _WITHOUT_ENGINE or arguments[0].startswith("-"):
        return False
    return arguments[0] == "pulumi" or not {"--help", "-h"} & set(arguments)


def _run(arguments: list[str]) -> NoReturn:
    python = virtualenv.ensure(ROOT, shutil.which("uv"))
    # -P: a folder `cli` that happens to lie where the person stands is not ours.
    command = [str(python), "-P", "-m", "cli", *arguments]
    variables = dict(os.environ)
    if needs_engine(arguments):
        pins = versions.load()
        found = engine.ensure(pins, cache.folder(), os.environ.get("PATH", os.defpath))
        variables |= engine_environment(ROOT, found)
        ensure_command_plugin(found, pins.command, variables)
        if arguments[0] == "pulumi":
            command = [str(found.bin / "pulumi"), *arguments[1:]]
    os.execve(command[0], command, variables)  # noqa: S606 - a shell has no place between
