"""The environment variables under which `pulumi` runs this project."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from toolchain import cache

if TYPE_CHECKING:
    from pathlib import Path

    from toolchain.engine import Engine


def pulumi_home() -> Path:
    """Where an engine of ours keeps its plugins, credentials and logs."""
    return cache.folder() / "pulumi-home"


def stand_in_folder() -> Path:
    """Where the user's own engine finds a plugin that it couldn't fetch."""
    return cache.folder() / "plugins"


def engine_environment(root: Path, engine: Engine) -> dict[str, str]:
    """The variables to set, on top of the present environment.

    PATH begins with the virtual environment, because a language host that was built from Go
    modules takes the first `python` there; the engine comes next. It has the policy pack's folder,
    where the engine finds what starts the pack. PULUMI_HOME is set for an engine of ours; with the
    user's own engine the user's plugins and login stay in force.

    Args:
        root: The checkout.
        engine: From `toolchain.engine.ensure`.
    """
    environment = root / ".venv"
    first = [str(environment / "bin"), str(engine.bin)]
    last = str(root / "policy")
    rest = [
        folder
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if folder not in {*first, last}
    ]
    variables = {
        "PATH": os.pathsep.join([*first, *rest, last]),
        "VIRTUAL_ENV": str(environment),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if engine.provided:
        variables["PULUMI_HOME"] = str(pulumi_home())
    else:
        variables["PATH"] += f"{os.pathsep}{stand_in_folder()}"
    return variables
