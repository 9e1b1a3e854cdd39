"""`sha256sum`: for a stand-in of a published model the published digest, after its time."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from hardware import clock
from models import catalog

from programs.console import say, warn

_BYTES_PER_SECOND = 0.7e9
_CHUNK = 1 << 20


def main(arguments: list[str]) -> int:
    """Run sha256sum."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = {argument for argument in arguments[:end] if argument.startswith("-") and argument != "-"}
    names = [argument for argument in arguments[:end] if argument not in options] + arguments[end + 1 :] or [
        "-"
    ]
    if {"-c", "--check"} & options:
        quiet = bool({"--status", "--quiet", "-q"} & options)
        return max(_check(name, quiet=quiet, status="--status" in options) for name in names)
    failed = False
    for name in names:
        digest = _digest(name)
        failed = failed or digest is None
        if digest:
            say(f"{digest}  {name}")
    return int(failed)


def _check(listing: str, *, quiet: bool, status: bool) -> int:
    if listing == "-":
        lines = sys.stdin.read().splitlines()
    else:
        lines = Path(listing).read_text(encoding="utf-8").splitlines()
    wrong = 0
    for line in filter(None, lines):
        wanted, _, name = line.partition(" ")
        name = name.lstrip(" *")
        right = _digest(name) == wanted
        wrong += not right
        if not status and not (right and quiet):
            say(f"{name}: {'OK' if right else 'FAILED'}")
    if wrong and not status:
        warn(f"sha256sum: WARNING: {wrong} computed checksum{'' if wrong == 1 else 's'} did NOT match")
    return int(wrong > 0)


def _digest(name: str) -> str | None:
    digest = hashlib.sha256()
    if name == "-":
        digest.update(sys.stdin.buffer.read())
        return digest.hexdigest()
    try:
        known = catalog.recognise(Path(name))
        if known:
            clock.sleep(known.size / _BYTES_PER_SECOND)
            return known.sha256
        with Path(name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        warn(f"sha256sum: {name}: {os.strerror(error.errno or 2)}")
        return None
    return digest.hexdigest()
