"""`pip`: the same installs as `uv pip`, under the name that people type, into the image's own Python too."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from programs import uv_pip
from programs.console import fail, say
from programs.uv_options import Options


def main(arguments: list[str]) -> int:
    """Run pip."""
    options = Options.parse([argument for argument in arguments if argument != "-y"])
    if {"--version", "-V"} & options.flags:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        say(f"pip 25.3 from {sys.prefix}/lib/python{version}/site-packages/pip (python {version})")
        return 0
    if not options.rest:
        fail("\nUsage:\n  pip <command> [options]", 0)
    command, *rest = options.rest
    system = Path(sys.argv[0]).parents[1]
    if (system / "pyvenv.cfg").is_file() and "VIRTUAL_ENV" not in os.environ:
        options.values.setdefault("python", [str(system)])
    return uv_pip.run(command, options._replace(rest=rest))
