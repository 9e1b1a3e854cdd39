"""`python -m cli`: what the launcher `./fragua` becomes."""

from __future__ import annotations

import sys

from cli.app import app
from components.errors import FraguaError


def main() -> None:
    """Run a command; a person's mistake ends in one message, not in a traceback."""
    try:
        app(prog_name="./fragua")
    except FraguaError as error:
        sys.exit(f"fragua: {error}")


main()
