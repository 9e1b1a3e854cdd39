"""`git`: clones of the few repositories that this image carries, and what is asked of those clones.

Everything else is the real git's business.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from hardware import clock

from programs.console import fail, hand_over, say, warn
from programs.git_repositories import Clone, NoRepository, Repository, UnknownHost, find

_WITH_VALUE = {"-b", "--branch", "--depth", "-o", "--origin", "--filter", "-j", "--jobs", "-c", "--config"}


def main(arguments: list[str]) -> int:
    """Run git."""
    folder, rest = Path(), list(arguments)
    while rest and rest[0] in {"-C", "-c"}:
        if rest[0] == "-C":
            folder /= rest[1]
        rest = rest[2:]
    command, options = (rest[0], rest[1:]) if rest else ("", [])
    if command == "clone" and any(option.startswith(("https://", "http://")) for option in options):
        return _clone(folder, options)
    clone = Clone.containing(folder.resolve())
    action = _ACTIONS.get(command)
    if clone is None or action is None or not action(clone, options):
        hand_over("git", arguments)
    return 0


def _clone(folder: Path, options: list[str]) -> int:
    values, flags, positional = _sorted(options)
    url = positional[0]
    name = url.rstrip("/").removesuffix(".git").rsplit("/", 1)[-1]
    target = folder / (positional[1] if len(positional) > 1 else name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        fail(f"fatal: destination path '{target}' already exists and is not an empty directory.", 128)
    if not {"-q", "--quiet"} & flags:
        warn(f"Cloning into '{target}'...")
    repository = _found(url)
    branch = values.get("-b") or values.get("--branch")
    commit = repository.commit(branch)
    if commit is None:
        warn(f"warning: Could not find remote branch {branch} to clone.")
        fail(f"fatal: Remote branch {branch} not found in upstream origin", 128)
    repository.travel(shallow="--depth" in values)
    clone = Clone.make(target, url)
    clone.check_out(repository, commit)
    if {"--recursive", "--recurse-submodules"} & flags:
        clone.update_submodules()
    return 0


def _found(url: str) -> Repository:
    try:
        return find(url)
    except UnknownHost as error:
        fail(f"fatal: unable to access '{url.rstrip('/')}/': Could not resolve host: {error}", 128)
    except NoRepository:
        fail("fatal: could not read Username for 'https://github.com': No such device or address", 128)


def _sorted(options: list[str]) -> tuple[dict[str, str], set[str], list[str]]:
    """Sort options into those with a value, flags, and the rest."""
    values, flags, rest = dict[str, str](), set[str](), list[str]()
    items = iter(options)
    for item in items:
        key, equals, value = item.partition("=")
        if key in _WITH_VALUE:
            values[key] = value if equals else next(items, "")
        elif item.startswith("-") and item != "-":
            flags.add(item)
        else:
            rest.append(item)
    return values, flags, rest


def _rev_parse(clone: Clone, options: list[str]) -> bool:
    head = clone.fetched if "FETCH_HEAD" in options else clone.head
    if head is None:
        return False
    if "--show-toplevel" in options:
        say(str(clone.top))
    else:
        say(head[:8] if any(option.startswith("--short") for option in options) else head)
    return True


def _fetch(clone: Clone, options: list[str]) -> bool:
    values, _, rest = _sorted(options)
    refs = [item for item in rest[1:] if item != "tag"]
    ref = refs[0] if refs else None
    repository = _found(clone.url)
    commit = repository.commit(ref)
    if commit is None:
        _unknown_ref(str(ref))
    repository.travel(shallow="--depth" in values)
    clone.fetch(commit)
    return True


def _unknown_ref(ref: str) -> NoReturn:
    if len(ref) == 40:
        fail(f"fatal: remote error: upload-pack: not our ref {ref}", 128)
    fail(f"fatal: couldn't find remote ref {ref}", 128)


def _checkout(clone: Clone, options: list[str]) -> bool:
    _, flags, rest = _sorted(options)
    if not rest:
        return False
    repository = _found(clone.url)
    wanted = rest[0].removeprefix("origin/")
    commit = clone.fetched if wanted == "FETCH_HEAD" else repository.commit(wanted)
    if commit is None and len(wanted) == 40:
        fail(f"fatal: unable to read tree ({wanted})", 128)
    if commit is None:
        fail(f"error: pathspec '{wanted}' did not match any file(s) known to git", 1)
    clone.check_out(repository, commit)
    if not {"-q", "--quiet"} & flags:
        warn(f"HEAD is now at {commit[:8]}")
    return True


def _status(clone: Clone, options: list[str]) -> bool:
    if clone.head is None:
        return False
    if not {"--porcelain", "-s", "--short"} & set(options):
        say(f"HEAD detached at {clone.head[:8]}\nnothing to commit, working tree clean")
    return True


def _pull(_: Clone, __: list[str]) -> bool:
    clock.sleep(1)
    say("Already up to date.")
    return True


def _submodule(clone: Clone, _: list[str]) -> bool:
    clone.update_submodules()
    return True


def _log(clone: Clone, options: list[str]) -> bool:
    if clone.head is None:
        return False
    say(clone.head if any("%H" in option for option in options) else f"{clone.head[:8]} Merge pull request")
    return True


_ACTIONS = {
    "rev-parse": _rev_parse,
    "fetch": _fetch,
    "checkout": _checkout,
    "switch": _checkout,
    "reset": _checkout,
    "status": _status,
    "pull": _pull,
    "submodule": _submodule,
    "log": _log,
}
