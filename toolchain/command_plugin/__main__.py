"""Starts the plugin: `python -m toolchain.command_plugin ENGINE_ADDRESS`, as the engine does."""

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def skip_the_sdk() -> None:
    """Makes `pulumi.runtime.proto` importable without the rest of Pulumi's SDK.

    Importing the SDK takes 0.3 s and each preview starts this process, which needs nothing but
    the generated messages: the packages above them are stood up empty.
    """
    spec = find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        sys.exit(
            f"pulumi-resource-command (stand-in): the `pulumi` package is missing for {sys.executable}: "
            "put the bin folder of this project's .venv first on PATH"
        )
    folder = Path(spec.submodule_search_locations[0])
    for name, where in (("pulumi", folder), ("pulumi.runtime", folder / "runtime")):
        package = ModuleType(name)
        package.__path__ = [str(where)]
        sys.modules[name] = package


if __name__ == "__main__":
    skip_the_sdk()
    from toolchain.command_plugin.server import serve

    asyncio.run(serve(sys.argv[1] if len(sys.argv) > 1 else None))
