"""`git`: clones of the few repositories that this image carries, and the questions asked of those clones.

Everything else is the real git's business. A clone remembers its commit, and has no objects.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from hardware import clock, link
from hardware.facts import machine

from programs.console import fail, hand_over, say, warn

_HERE = Path(__file__).resolve().parents[3]
_HEAD = "48d368fa557731ad0488c07304dfeba8c07910eb"


class _Repository(NamedTuple):
    """What a clone holds: its files, megabytes on the wire in full and with --depth, refs by name."""

    content: Path
    full_mb: int
    shallow_mb: int
    refs: dict[str, str]


_REPOSITORIES = {
    "github.com/kohya-ss/sd-scripts": _Repository(
        _HERE / "sd-scripts", 31, 9, {"main": _HEAD, "v0.9.1": "8f4ee8fc343b047965cd8976fca65c3a35b7593a"}
    ),
    "github.com/bmaltais/kohya_ss": _Repository(
        _HERE / "kohya_ss", 30, 6, {"master": "90e75c908e8a2518a343310440c62326d94225b5"}
    ),
}
_HOSTS = ("github.com", "huggingface.co")


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
    top = _clone_at(folder.resolve())
    if top is None:
        hand_over("git", arguments)
    return _inside(top, command, options, arguments)


def _clone(folder: Path, options: list[str]) -> int:
    depth, branch, positional, quiet = False, None, list[str](), False
    rest = iter(options)
    for option in rest:
        key, equals, value = option.partition("=")
        if key in {"-b", "--branch"}:
            branch = value if equals else next(rest, "")
        elif key == "--depth":
            depth = True
            if not equals:
                next(rest, None)
        elif key in {"-q", "--quiet"}:
            quiet = True
        elif not key.startswith("-"):
            positional.append(option)
    url = positional[0]
    name = url.removeprefix("https://").removeprefix("http://").rstrip("/").removesuffix(".git")
    target = folder / (positional[1] if len(positional) > 1 else name.rsplit("/", 1)[-1])
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        fail(f"fatal: destination path '{target}' already exists and is not an empty directory.", 128)
    if not quiet:
        warn(f"Cloning into '{target}'...")
    repository = _find(name, url)
    commit = repository.refs.get(branch, "") if branch else next(iter(repository.refs.values()))
    if branch and not commit:
        warn(f"warning: Could not find remote branch {branch} to clone.")
        fail(f"fatal: Remote branch {branch} not found in upstream origin", 128)
    clock.sleep(0.8)
    for _ in link.arriving((repository.shallow_mb if depth else repository.full_mb) * 1_000_000):
        pass
    target.mkdir(parents=True, exist_ok=True)
    shutil.copytree(
        repository.content, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    git = target / ".git"
    for part in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (git / part).mkdir(parents=True)
    (git / "config").write_text(f'[core]\n\trepositoryformatversion = 0\n[remote "origin"]\n\turl = {url}\n')
    names = "".join(f"{commit} refs/remotes/origin/{ref}\n" for ref, commit in repository.refs.items())
    (git / "packed-refs").write_text(names)
    _set_head(git, commit)
    return 0


def _find(name: str, url: str) -> _Repository:
    if name in _REPOSITORIES:
        return _REPOSITORIES[name]
    host = name.split("/", maxsplit=1)[0]
    web = Path(machine().web) if machine().web else None
    if web and (web / name).is_dir():
        return _Repository(web / name, 5, 2, {"main": "0" * 39 + "1"})
    clock.sleep(1)
    if host in _HOSTS or (web and (web / host).is_dir()):
        fail("fatal: could not read Username for 'https://github.com': No such device or address", 128)
    fail(f"fatal: unable to access '{url.rstrip('/')}/': Could not resolve host: {host}", 128)
    return None


def _inside(top: Path, command: str, options: list[str], arguments: list[str]) -> int:
    git = top / ".git"
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    refs = {line.split("/")[-1]: line.split()[0] for line in (git / "packed-refs").read_text().splitlines()}
    plain = [option for option in options if not option.startswith("-")]
    if command == "rev-parse" and plain == ["HEAD"]:
        say(head[:8] if "--short" in options else head)
    elif command == "rev-parse" and "--show-toplevel" in options:
        say(str(top))
    elif command in {"checkout", "switch"} and plain:
        wanted = plain[0]
        known = [*refs.values(), head]
        found = refs.get(wanted) or next(
            (one for one in known if len(wanted) >= 7 and one.startswith(wanted)), None
        )
        if found is None:
            if len(wanted) == 40:
                fail(f"fatal: unable to read tree ({wanted})", 128)
            fail(f"error: pathspec '{wanted}' did not match any file(s) known to git", 1)
        _set_head(git, found)
        if not {"-q", "--quiet"} & set(options):
            warn(f"HEAD is now at {found[:8]}")
    elif command == "status":
        say(
            ""
            if {"--porcelain", "-s"} & set(options)
            else f"HEAD detached at {head[:8]}\nnothing to commit, working tree clean"
        )
    elif command in {"fetch", "pull", "submodule"}:
        clock.sleep(1)
        if command == "pull":
            say("Already up to date.")
    elif command == "remote":
        url = (git / "config").read_text(encoding="utf-8").rsplit("url = ", 1)[-1].strip()
        say(url if "get-url" in options else "origin")
    elif command == "log":
        say(head if any("%H" in option for option in options) else f"{head[:8]} Merge branch")
    else:
        hand_over("git", arguments)
    return 0


def _set_head(git: Path, commit: str) -> None:
    (git / "HEAD").write_text(commit + "\n", encoding="utf-8")


def _clone_at(folder: Path) -> Path | None:
    """Return the top of the clone that `folder` lies in, if it is one that this program made."""
    for top in (folder, *folder.parents):
        if (top / ".git").exists():
            made_here = (top / ".git" / "packed-refs").is_file() and not (top / ".git" / "index").exists()
            return top if made_here else None
    return None
