"""Secrets that a job on a machine needs: files that only root reads. Pure.

A secret goes to the machine inside a script on standard input, and is in no argument and no job's script.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from components.remote.job import WORKSPACE

_FOLDER: Final = ".fragua/secrets"


def secret_path(name: str) -> str:
    """Return where the secret called `name` lies, relative to the workspace."""
    return f"{_FOLDER}/{name}"


def secret_script(name: str, text: str) -> str:
    """Return a script that leaves the lines of `text` on the machine as a secret. It is a secret itself.

    A file that was there before is replaced whole, whatever its mode was; several may leave it at once.
    """
    path = secret_path(name)
    lines = text.rstrip("\n")
    mark = f"END-{sha256(lines.encode()).hexdigest()[:16]}"
    return f"""cd "{WORKSPACE}"
umask 077
mkdir -p {_FOLDER}
cat > {path}.$$ <<'{mark}'
{lines}
{mark}
mv {path}.$$ {path}
"""
