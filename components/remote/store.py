"""Object storage, or wherever else rclone reads and writes: how a machine logs in to it. Pure.

The remote is configured by the environment of this computer. What a job on a machine needs of that lies there
in a file of the job's own, which only root reads, and is in no script and no argument.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from components.errors import SpecError
from components.remote.secret import secret_path, secret_script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.spec.source import Rclone


_KINDS: Final = ("TIME", "SHELL", "HASH", "ENDPOINT", "DRIVE", "LINK", "BOX_SUB")
"""Before _TYPE, options of a remote; anything else there is the rest of another remote's name."""


def environment(field: str, store: Rclone | None, variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of this computer's environment `variables` that it takes to log in: secrets.

    Args:
        field: of the job file that names the store, for the error.
        store: none needs nothing.
        variables: all of them.

    Raises:
        SpecError: the store's remote is not configured among them.
    """
    if not store:
        return {}
    prefix = f"RCLONE_CONFIG_{store.remote.upper()}_"
    found = {name: value for name, value in variables.items() if name.startswith(prefix)}
    if f"{prefix}TYPE" not in found:
        raise SpecError(
            f"{field}.remote: {store.remote} is not configured: set {prefix}TYPE, such as s3, "
            f"and what else that type needs, such as {prefix}ACCESS_KEY_ID, in the environment"
        )
    others = tuple(
        name.removesuffix("TYPE")
        for name in found
        if name.endswith("_TYPE") and name.removeprefix(prefix).removesuffix("_TYPE") not in ("TYPE", *_KINDS)
    )
    return {name: value for name, value in found.items() if not name.startswith(others)}


def environment_script(name: str, variables: Mapping[str, str]) -> str:
    """Return a script that leaves secret `variables` on a machine for its job `name`; a secret itself."""
    return secret_script(
        name, "\n".join(f"{each}={shlex.quote(value)}" for each, value in sorted(variables.items()))
    )


def log_in(name: str) -> str:
    """Return lines of a script after which rclone knows what was left there for the job `name`."""
    return f"set -a\n. {secret_path(name)}\nset +a\n"
