"""The three commands that the API runs on an instance's disk, running or not: ls, du and rm."""

from __future__ import annotations

import shlex
import shutil
from typing import TYPE_CHECKING

from simulator.errors import APIError, invalid_args

if TYPE_CHECKING:
    from pathlib import Path

MAX_COMMAND = 512
VERBS = ("ls", "du", "rm")


def run_command(tree: Path, command: str) -> str:
    """Return what `command` prints, its paths taken inside `tree`.

    Raises:
        APIError: 400 for a command that cannot be read, 403 for any other verb.
    """
    if len(command) > MAX_COMMAND:
        raise invalid_args(f"command: at most {MAX_COMMAND} characters.")
    try:
        verb, *words = shlex.split(command)
    except ValueError:
        raise invalid_args("command: expected a verb and paths.") from None
    if verb not in VERBS:
        raise APIError(403, "blacklisted", f"{verb}: only {', '.join(VERBS)} may be run.")
    paths = [word for word in words if not word.startswith("-")] or ["/"]
    options = {letter for word in words if word.startswith("-") for letter in word[1:]}
    return "".join(_run_one(tree, verb, path, options) for path in paths)


def _run_one(tree: Path, verb: str, path: str, options: set[str]) -> str:
    target = (tree / path.lstrip("/")).resolve()
    if not target.is_relative_to(tree.resolve()):
        return f"{verb}: {path}: Permission denied\n"
    if not target.exists():
        return f"{verb}: cannot access '{path}': No such file or directory\n"
    if verb == "ls":
        names = sorted(entry.name for entry in target.iterdir()) if target.is_dir() else [path]
        return "".join(f"{name}\n" for name in names if "a" in options or name[0] != ".")
    if verb == "du":
        return f"{_size(target) // 1024}\t{path}\n"
    if target == tree.resolve() or (target.is_dir() and not options & {"r", "R"}):
        return f"rm: cannot remove '{path}': Is a directory\n"
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    return ""


def _size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files)
