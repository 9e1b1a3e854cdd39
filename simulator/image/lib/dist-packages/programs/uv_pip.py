"""`uv pip`: `install`, `list`, `freeze`, `show`, `uninstall` and `check` in one environment."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hardware import clock, link

from programs import resolver
from programs.console import fail, say, warn
from programs.environment import Environment

if TYPE_CHECKING:
    from programs.uv_options import Options

_UNPACK_MB_PER_SECOND = 100


def run(command: str, options: Options) -> int:
    """Run one of pip's commands in the environment that the options or the shell name."""
    environment = _environment(options)
    installed = environment.installed()
    match command:
        case "install":
            return _install(environment, installed, options)
        case "freeze":
            say("\n".join(f"{name}=={version}" for name, version in installed.items()))
        case "list":
            _list(installed, options.last("format"))
        case "show":
            return _show(environment, installed, options)
        case "uninstall":
            _uninstall(environment, installed, options)
        case "check":
            warn(f"Checked {_count(len(installed))} in 0.30ms\nAll installed packages are compatible")
        case _:
            fail(f"error: unrecognized subcommand '{command}'", 2)
    return 0


def _environment(options: Options) -> Environment:
    python = options.last("python")
    advice = (
        "run `uv venv` to create an environment, or pass `--system` to install into a non-virtual environment"
    )
    if python:
        folder = Path(python)
        if folder.name.startswith("python") and folder.parent.name == "bin":
            folder = folder.parent.parent
        if not (folder / "pyvenv.cfg").is_file():
            fail(f"error: No virtual environment found for executable name `{python}`; {advice}", 2)
        return Environment(folder.absolute())
    here = Path.cwd()
    named = os.environ.get("VIRTUAL_ENV")
    places = [Path(named)] if named else [top / ".venv" for top in (here, *here.parents)]
    found = next((place for place in places if (place / "pyvenv.cfg").is_file()), None)
    if found is None:
        fail(f"error: No virtual environment found; {advice}", 2)
    return Environment(found.absolute())


def _install(environment: Environment, installed: dict[str, str], options: Options) -> int:
    specs, editable = _specs(options)
    options.tell(f"Using Python {sys.version.split()[0]} environment at: {environment.folder}")
    clock.sleep(1.2)
    try:
        plan = resolver.resolve(
            specs,
            installed,
            _indexes(options),
            _constraints(options),
            upgrade=bool({"-U", "--upgrade"} & options.flags),
            needs="--no-deps" not in options.flags,
            until=options.last("until"),
        )
    except resolver.Unsatisfiable as error:
        warn(f"  \N{MULTIPLICATION SIGN} No solution found when resolving dependencies:\n  ╰─▶ {error}")
        return 1
    new = [package for package in plan if installed.get(package.name) != package.version]
    if not new and not editable:
        options.tell(f"Audited {_count(len(plan))} in 12ms")
        return 0
    options.tell(f"Resolved {_count(len(plan) + len(editable))} in 1.20s")
    _download(new, options)
    try:
        _replace(environment, installed, new, editable, options)
    except OSError as error:
        fail(f"error: Failed to install: {error.strerror} (os error {error.errno})", 2)
    return 0


def _replace(
    environment: Environment,
    installed: dict[str, str],
    new: list[resolver.Package],
    editable: list[Path],
    options: Options,
) -> None:
    old = [(package.name, installed[package.name]) for package in new if package.name in installed]
    for name, version in old:
        environment.remove(name, version, resolver.commands_of(name))
    for package in new:
        environment.install(package)
    lines = [(name, f" - {name}=={version}") for name, version in old]
    lines += [(package.name, f" + {package.name}=={package.version}") for package in new]
    for folder in editable:
        environment.install(resolver.Package("library", "0.0.0", 0, [], "sd_scripts", {}))
        lines.append(("library", f" + library==0.0.0 (from file://{folder})"))
    if old:
        options.tell(f"Uninstalled {_count(len(old))} in 310ms")
    options.tell(f"Installed {_count(len(new) + len(editable))} in 840ms")
    options.tell("\n".join(line for _, line in sorted(lines)))


def _specs(options: Options) -> tuple[list[str], list[Path]]:
    """Return what is to be installed by name, and checkouts to be installed as they are."""
    specs = [item for item in options.rest if not item.startswith((".", "/"))]
    editable = [Path(folder).resolve() for folder in options.values.get("editable", [])]
    hashed = "--require-hashes" in options.flags
    for name in options.values.get("requirement", []):
        file = Path(name)
        if not file.is_file():
            fail(f"error: File not found: `{name}`", 2)
        for line in file.read_text(encoding="utf-8").splitlines():
            text = line.split(" #")[0].strip()
            if text.startswith("-e"):
                editable.append(Path(text[2:].strip()).resolve())
            elif text and not text.startswith(("#", "-")):
                if hashed and not text.endswith("\\"):
                    fail(
                        "error: In `--require-hashes` mode, all requirements must have a hash, but none were "
                        f"provided for: {text}",
                        2,
                    )
                specs.append(text)
    for folder in editable:
        if not (folder / "setup.py").is_file() and not (folder / "pyproject.toml").is_file():
            fail(
                f"error: {folder} does not appear to be a Python project, as neither `pyproject.toml` nor "
                "`setup.py` are present in the directory",
                2,
            )
    return specs, editable


def _constraints(options: Options) -> list[str]:
    lines = []
    for name in options.values.get("constraint", []):
        if not Path(name).is_file():
            fail(f"error: File not found: `{name}`", 2)
        lines += Path(name).read_text(encoding="utf-8").split("\n")
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _indexes(options: Options) -> list[str]:
    """Return where packages are looked for: torch's index by its CUDA version, `pypi`."""
    backend = options.last("backend")
    if backend:
        return [resolver.best_backend() if backend == "auto" else backend, "pypi"]
    only = options.last("index") or ""
    named = [*options.values.get("extra", []), only]
    torch = [url.rstrip("/").rsplit("/", 1)[-1] for url in named if "download.pytorch.org/whl/" in url]
    alone = "download.pytorch.org" in only and not options.values.get("extra")
    return torch if alone else [*torch, "pypi"]


def _download(packages: list[resolver.Package], options: Options) -> None:
    big = [package for package in packages if package.megabytes >= 1]
    for package in big:
        options.tell(f"Downloading {package.name} ({package.megabytes:.1f}MiB)")
    for package in packages:
        for _ in link.arriving(int(package.megabytes * 1_048_576)):
            pass
        if package in big:
            options.tell(f" Downloaded {package.name}")
    clock.sleep(sum(package.megabytes for package in packages) / _UNPACK_MB_PER_SECOND)
    options.tell(f"Prepared {_count(len(packages))} in 1.90s")


def _list(installed: dict[str, str], form: str | None) -> None:
    if form == "json":
        say(json.dumps([{"name": name, "version": version} for name, version in installed.items()]))
    elif form == "freeze":
        say("\n".join(f"{name}=={version}" for name, version in installed.items()))
    else:
        left = max([7, *map(len, installed)])
        right = max([7, *map(len, installed.values())])
        say(f"{'Package':<{left}} Version\n{'-' * left} {'-' * right}")
        for name, version in installed.items():
            say(f"{name:<{left}} {version}")


def _show(environment: Environment, installed: dict[str, str], options: Options) -> int:
    names = [resolver.normal(name) for name in options.rest]
    found = [name for name in names if name in installed]
    for name in sorted(set(names) - set(found)):
        warn(f"warning: Package(s) not found for: {name}")
    cards = [
        f"Name: {name}\nVersion: {installed[name]}\nLocation: {environment.packages}\nRequires:\nRequired-by:"
        for name in found
    ]
    say("\n---\n".join(cards))
    return 0 if found else 1


def _uninstall(environment: Environment, installed: dict[str, str], options: Options) -> None:
    found = [resolver.normal(name) for name in options.rest if resolver.normal(name) in installed]
    for name in found:
        environment.remove(name, installed[name], resolver.commands_of(name))
    if found:
        warn(f"Uninstalled {_count(len(found))} in 85ms")
        warn("\n".join(f" - {name}=={installed[name]}" for name in found))
    else:
        warn("warning: No packages to uninstall")


def _count(number: int) -> str:
    return f"{number} package" if number == 1 else f"{number} packages"
