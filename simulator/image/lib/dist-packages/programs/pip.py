"""`pip`: the same installs as `uv pip`, under the name that people type."""

from __future__ import annotations

import sys

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
    return uv_pip.run(command, options._replace(rest=rest))
