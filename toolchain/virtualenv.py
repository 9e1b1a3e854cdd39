"""The checkout's virtual environment, `.venv`, made from the hashed lock and from nothing else."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from toolchain import cache
from toolchain.console import duration, say

if TYPE_CHECKING:
    from pathlib import Path


class VirtualenvError(Exception):
    """The environment can't be made."""


def ensure(root: Path, uv: str | None) -> Path:
    """The environment's interpreter; makes or updates the environment where it isn't the lock's.

    A stamp inside `.venv` says what it was made from. It is written last, so an attempt that was
    cut off is taken up the next time.

    Args:
        root: The checkout, with its requirements.lock.
        uv: The `uv` to work with; without one it is venv and pip.

    Raises:
        VirtualenvError: uv, venv or pip failed; says what they said.
    """
    lock = (root / "requirements.lock").read_bytes()
    python = root / ".venv" / "bin" / "python"
    stamp = root / ".venv" / "fragua.stamp"
    release = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = f"lock {hashlib.sha256(lock).hexdigest()}\npython {release}\ncheckout {root}\n"

    def ready() -> bool:
        return python.exists() and stamp.exists() and stamp.read_text() == wanted

    if ready():
        return python
    with cache.exclusive(root / ".fragua" / "setup.lock", "making .venv"):
        if not ready():
            began = time.monotonic()
            packages = len(re.findall(rb"^[\w.-]+==", lock, re.MULTILINE))
            say(f"making .venv: {packages} packages, about {'10' if uv else '40'} s")
            _make(root, python, release, uv)
            stamp.write_text(wanted)
            say(f"made .venv in {duration(time.monotonic() - began)}")
    return python


def _make(root: Path, python: Path, release: str, uv: str | None) -> None:
    environment = root / ".venv"
    packages = environment / "lib" / f"python{release}" / "site-packages"
    if not (python.exists() and packages.is_dir()):
        shutil.rmtree(environment, ignore_errors=True)  # of a Python that is gone
    if uv:
        _run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, environment])
        install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        if not (environment / "bin" / "pip").exists():
            _run([sys.executable, "-m", "venv", environment])
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, "--require-hashes", "--requirement", root / "requirements.lock"])
    # What an editable install would do: `cli` and the others are found from any folder.
    (packages / "fragua.pth").write_text(f"{root}\n")


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        said = "\n  ".join(done.stdout.decode(errors="replace").strip().splitlines()[-12:])
        raise VirtualenvError(
            f"{' '.join(map(str, command))}\nended with exit status {done.returncode}:\n  {said}"
        )
