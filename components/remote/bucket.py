"""A folder of object storage as this computer reads it, by the rclone that is installed with fragua."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from components.errors import BucketFailed
from components.remote.store import environment
from components.spec.source import Rclone

if TYPE_CHECKING:
    from components.remote.progress import Tell

_RCLONE: Final = Path(sysconfig.get_path("scripts"), "rclone")
_TRIES: Final = ("--retries", "1", "--low-level-retries", "3", "--contimeout", "10s")
"""By itself it tries for longer than five minutes where nothing answers."""
_LONGEST: Final = 255
"""Bytes of a file's name, by Linux."""
_NOT_THERE: Final = 3
"""rclone's exit code for a folder that does not exist."""


def take(source: str, target: Path, which: list[str], tell: Tell) -> None:
    """Copy into the folder `target` those files of `source` (`remote:path`) that match one of the patterns.

    What is in `target` with the same size and time is left alone; no half file has a file's name.

    Raises:
        SpecError: the remote is not configured in the environment of this computer.
        BucketFailed: it refuses, or is not reached.
    """
    remote, _, path = source.partition(":")
    environment("bucket", Rclone(remote=remote, path=path), os.environ)
    # options of this computer, such as a filter, are not the bucket's
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RCLONE_") or name.startswith("RCLONE_CONFIG_")
    }
    filters = [word for each in which for word in ("--include", each)]
    stats = ("--use-json-log", "--stats", "1s", "--stats-log-level", "NOTICE")
    command = [str(_RCLONE), "copy", source, str(target), *filters, "--config", "", *_TRIES, *stats]
    said = ""
    with subprocess.Popen(
        command, env=variables, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            try:
                note = json.loads(line)
            except ValueError:  # before it has read how to log
                said = line.strip() or said
                continue
            if found := note.get("stats"):
                tell(int(found["bytes"]), int(found["totalBytes"]), float(found["speed"]))
            else:
                said = note["msg"]
    if process.returncode not in (0, _NOT_THERE):
        raise BucketFailed(f"bucket: {source} cannot be read: {said.removeprefix('Failed to copy: ')}")


def lists(folder: Path) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of each file of each save whose list is in `folder`, by the save's path there.

    Whoever can write into the bucket can write lists: one with files beside its save counts for nothing.
    A checkpoint is one file, a state is a folder.
    """
    found = {}
    for path in folder.glob("*/*.sha256"):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        hashes = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        if hashes and all(_belongs(name, path.stem) for name in hashes):
            found[path.relative_to(folder).with_suffix("").as_posix()] = hashes
    return found


def _belongs(name: str, save: str) -> bool:
    parts = PurePosixPath(name).parts
    inside = len(parts) > 1 if save.endswith("-state") else len(parts) == 1
    fits = name.isprintable() and len(name.encode()) <= _LONGEST
    return fits and inside and parts[0] == save and ".." not in parts
