"""`uv`: `venv`, and `pip` with its commands. What it installs are stand-ins."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from hardware import link

from programs import uv_pip
from programs.console import fail, say
from programs.environment import VERSION, Environment
from programs.uv_options import Options

_OTHER_PYTHON_BYTES = 33_000_000


def main(arguments: list[str]) -> int:
    """Run uv."""
    options = Options.parse(arguments)
    if {"--version", "-V"} & options.flags or options.rest[:1] == ["version"]:
        say(f"uv {VERSION}")
        return 0
    match options.rest:
        case ["venv", *rest]:
            return _venv(options, Path(rest[0] if rest else ".venv"))
        case ["pip", command, *rest]:
            return uv_pip.run(command, options._replace(rest=rest))
        case []:
            fail("An extremely fast Python package manager.\n\nUsage: uv [OPTIONS] <COMMAND>", 2)
        case [command, *_]:
            fail(
                f"error: unrecognized subcommand '{command}'\n\nUsage: uv [OPTIONS] <COMMAND>\n\n"
                "For more information, try '--help'.",
                2,
            )
    return 0


def _venv(options: Options, folder: Path) -> int:
    wanted = options.last("python")
    if wanted and wanted.startswith("3.") and not sys.version.startswith(wanted):
        # The real one fetches that interpreter; the image has one, so only time and bytes are true.
        for _ in link.arriving(_OTHER_PYTHON_BYTES):
            pass
    options.tell(f"Using CPython {sys.version.split()[0]} interpreter at: /usr/bin/python3")
    options.tell(f"Creating virtual environment at: {folder}")
    try:
        if (folder / "pyvenv.cfg").exists():
            if "--allow-existing" in options.flags:
                return 0
            if not {"--clear", "-c"} & options.flags and "UV_VENV_CLEAR" not in os.environ:
                _refuse(f"A virtual environment already exists at `{folder}`. Use `--clear` to replace it")
            shutil.rmtree(folder)
        Environment.create(folder.absolute())
    except OSError as error:
        _refuse(f"{error.strerror} (os error {error.errno})")
    options.tell(f"Activate with: source {folder}/bin/activate")
    return 0


def _refuse(cause: str) -> None:
    fail(f"error: Failed to create virtual environment\n  Caused by: {cause}", 2)
