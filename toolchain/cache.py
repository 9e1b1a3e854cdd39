"""The user's cache folder: where it is, and how two processes share it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain.console import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_CACHE_HOME/fragua`, by default `~/.cache/fragua`."""
    base = environment.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "fragua"


@contextmanager
def exclusive(lock: Path, work: str) -> Iterator[None]:
    """Hold the lock file while `work` is done; the system lets it go when the process dies."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that is {work}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """A new folder that becomes `target` in one step, or vanishes if the block raises."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in target.parent.glob(f"{target.name}.new-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=f"{target.name}.new-", dir=target.parent))
    try:
        new.chmod(0o755)
        yield new
        new.rename(target)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
