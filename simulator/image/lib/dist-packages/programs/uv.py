"""`uv`: `venv` and `pip install|list|freeze|show|uninstall|check`. What it installs are stand-ins, after their time."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from hardware import clock, link

from programs import resolver
from programs.console import fail, say, warn
from programs.environment import Environment, normal

_VERSION = "0.8.22"
_UNPACK_MB_PER_SECOND = 250
_WITH_VALUE = {
    "-p": "python", "--python": "python", "-r": "requirement", "--requirement": "requirement", "-e": "editable",
    "--editable": "editable", "-i": "index", "--index-url": "index", "--default-index": "index",
    "--extra-index-url": "extra", "--index": "extra", "--torch-backend": "backend", "-c": "constraint",
    "--constraint": "constraint", "--index-strategy": "", "--prerelease": "", "--link-mode": "", "--cache-dir": "",
    "-f": "", "--find-links": "", "--prompt": "", "--format": "format", "--directory": "", "--resolution": "",
    "--target": "", "--prefix": "", "--no-build-isolation-package": "", "--no-binary": "", "--only-binary": "",
}  # fmt: skip


class _Options(NamedTuple):
    """The command line, sorted: values by name, flags, and what is left."""

    values: dict[str, list[str]]
    flags: set[str]
    rest: list[str]

    def last(self, name: str) -> str | None:
        return self.values[name][-1] if self.values.get(name) else None

    @property
    def quiet(self) -> bool:
        return bool({"-q", "--quiet"} & self.flags)


def main(arguments: list[str]) -> int:
    """Run uv."""
    options = parse(arguments)
    if {"--version", "-V"} & options.flags or options.rest[:1] == ["version"]:
        say(f"uv {_VERSION}")
        return 0
    match options.rest:
        case ["venv", *rest]:
            return _venv(options, rest)
        case ["pip", command, *rest]:
            return pip(command, options._replace(rest=rest))
        case []:
            fail("An extremely fast Python package manager.\n\nUsage: uv [OPTIONS] <COMMAND>", 2)
    fail(
        f"error: unrecognized subcommand '{options.rest[0]}'\n\nUsage: uv [OPTIONS] <COMMAND>\n\n"
        "For more information, try '--help'.",
        2,
    )
    return None


def parse(arguments: list[str]) -> _Options:
    """Sort a command line."""
    values: dict[str, list[str]] = {}
    flags, rest = set[str](), list[str]()
    items = iter(arguments)
    for item in items:
        key, equals, value = item.partition("=")
        if key in _WITH_VALUE and (item.startswith("--") or not equals):
            values.setdefault(_WITH_VALUE[key], []).append(value if equals else next(items, ""))
        elif item.startswith("-") and len(item) > 1:
            flags.add(item)
        else:
            rest.append(item)
    return _Options(values, flags, rest)


def pip(command: str, options: _Options) -> int:
    """Run one of pip's commands in the environment that the options or the shell name."""
    environment = _environment(options)
    installed = environment.installed()
    match command:
        case "install":
            return _install(environment, installed, options)
        case "freeze":
            say("\n".join(f"{name}=={version}" for name, version in installed.items()))
        case "list":
            _list(installed, options)
        case "show":
            return _show(environment, installed, options)
        case "uninstall":
            _uninstall(environment, installed, options)
        case "check":
            warn(f"Checked {_count(len(installed))} in 0.30ms\nAll installed packages are compatible")
        case _:
            fail(f"error: unrecognized subcommand '{command}'", 2)
    return 0


def _venv(options: _Options, rest: list[str]) -> int:
    folder = Path(rest[0] if rest else ".venv")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = options.last("python")
    if wanted and wanted.startswith("3.") and not sys.version.startswith(wanted):
        # uv fetches another interpreter; the image has one, so only the time and the bytes are true.
        for _ in link.arriving(33_000_000):
            pass
    if not options.quiet:
        warn(f"Using CPython {sys.version.split()[0]} interpreter at: /usr/bin/python{version}")
        warn(f"Creating virtual environment at: {folder}")
    if (folder / "pyvenv.cfg").exists():
        if {"--allow-existing"} & options.flags:
            return 0
        if not {"--clear", "-c"} & options.flags and "UV_VENV_CLEAR" not in os.environ:
            fail(
                "error: Failed to create virtual environment\n"
                f"  Caused by: A virtual environment already exists at `{folder}`. Use `--clear` to replace it",
                2,
            )
        _clear(folder)
    Environment.create(folder.absolute())
    if not options.quiet:
        warn(f"Activate with: source {folder}/bin/activate")
    return 0


def _clear(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def _environment(options: _Options) -> Environment:
    python = options.last("python")
    if python:
        folder = Path(python)
        if folder.name.startswith("python") and folder.parent.name == "bin":
            folder = folder.parent.parent
        if not (folder / "pyvenv.cfg").is_file():
            fail(
                f"error: No virtual environment found for executable name `{python}`; run `uv venv` to create an "
                "environment, or pass `--system` to install into a non-virtual environment",
                2,
            )
    else:
        here = Path.cwd()
        named = os.environ.get("VIRTUAL_ENV")
        places = [Path(named)] if named else [top / ".venv" for top in (here, *here.parents)]
        found = next((place for place in places if (place / "pyvenv.cfg").is_file()), None)
        if found is None:
            fail(
                "error: No virtual environment found; run `uv venv` to create an environment, or pass `--system` to "
                "install into a non-virtual environment",
                2,
            )
        folder = found
    return Environment(folder.absolute())


def _install(environment: Environment, installed: dict[str, str], options: _Options) -> int:
    specs, editable = _specs(options)
    say_more = not options.quiet
    if say_more:
        warn(f"Using Python {sys.version.split()[0]} environment at: {environment.folder}")
    clock.sleep(1.2)
    try:
        plan = resolver.resolve(
            specs,
            installed,
            _indexes(options),
            upgrade=bool({"-U", "--upgrade"} & options.flags),
            needs="--no-deps" not in options.flags,
        )
    except resolver.Unsatisfiable as error:
        warn(f"  × No solution found when resolving dependencies:\n  ╰─▶ {error}")
        return 1
    new = [package for package in plan if installed.get(package.name) != package.version]
    if not new and not editable:
        if say_more:
            warn(f"Audited {_count(len(plan))} in 12ms")
        return 0
    if say_more:
        warn(f"Resolved {_count(len(plan) + len(editable))} in 1.20s")
    _download(new, say_more=say_more)
    old = [(package.name, installed[package.name]) for package in new if package.name in installed]
    for name, version in old:
        environment.remove(name, version, resolver.commands_of(name))
    for package in new:
        environment.install(package.name, package.version, package.module, package.needs, package.commands)
    for folder in editable:
        environment.install("library", "0.0.0", "sd_scripts", [], {})
        installed["library"] = f"0.0.0 (from file://{folder})"
    if say_more:
        if old:
            warn(f"Uninstalled {_count(len(old))} in 310ms")
        warn(f"Installed {_count(len(new) + len(editable))} in 840ms")
        lines = [(name, f" - {name}=={version}") for name, version in old]
        lines += [(package.name, f" + {package.name}=={package.version}") for package in new]
        lines += [("library", f" + library=={installed['library']}") for _ in editable]
        warn("\n".join(line for _, line in sorted(lines)))
    return 0


def _specs(options: _Options) -> tuple[list[str], list[Path]]:
    specs, editable = list[str](), [Path(folder).resolve() for folder in options.values.get("editable", [])]
    specs += [item for item in options.rest if not item.startswith((".", "/"))]
    for name in options.values.get("requirement", []):
        file = Path(name)
        if not file.is_file():
            fail(f"error: File not found: `{name}`", 2)
        for line in file.read_text(encoding="utf-8").splitlines():
            text = line.split(" #")[0].strip()
            if text.startswith("-e"):
                editable.append(Path(text[2:].strip()).resolve())
            elif text and not text.startswith(("#", "-")):
                specs.append(text)
    for folder in editable:
        if not (folder / "setup.py").is_file() and not (folder / "pyproject.toml").is_file():
            fail(
                f"error: {folder} does not appear to be a Python project, as neither `pyproject.toml` nor `setup.py` "
                "are present in the directory",
                2,
            )
    return specs, editable


def _indexes(options: _Options) -> list[str]:
    backend = options.last("backend")
    if backend:
        return [resolver.best_backend() if backend == "auto" else backend, "pypi"]
    named = options.values.get("extra", []) + options.values.get("index", [])
    torch = [url.rstrip("/").rsplit("/", 1)[-1] for url in named if "download.pytorch.org/whl/" in url]
    only = (
        torch and "download.pytorch.org" in (options.last("index") or "") and not options.values.get("extra")
    )
    return torch if only else [*torch, "pypi"]


def _download(packages: list[resolver.Package], *, say_more: bool) -> None:
    big = [package for package in packages if package.megabytes >= 1]
    if say_more:
        for package in big:
            warn(f"Downloading {package.name} ({package.megabytes:.1f}MiB)")
    for package in packages:
        for _ in link.arriving(int(package.megabytes * 1_048_576)):
            pass
        if say_more and package in big:
            warn(f" Downloaded {package.name}")
    clock.sleep(sum(package.megabytes for package in packages) * 2.5 / _UNPACK_MB_PER_SECOND)
    if say_more:
        warn(f"Prepared {_count(len(packages))} in 1.90s")


def _list(installed: dict[str, str], options: _Options) -> None:
    if options.last("format") == "json":
        say(json.dumps([{"name": name, "version": version} for name, version in installed.items()]))
        return
    if options.last("format") == "freeze":
        say("\n".join(f"{name}=={version}" for name, version in installed.items()))
        return
    left = max([7, *map(len, installed)])
    right = max([7, *map(len, installed.values())])
    say(f"{'Package':<{left}} Version\n{'-' * left} {'-' * right}")
    for name, version in installed.items():
        say(f"{name:<{left}} {version}")


def _show(environment: Environment, installed: dict[str, str], options: _Options) -> int:
    names = [normal(name) for name in options.rest]
    found = [name for name in names if name in installed]
    for name in set(names) - set(found):
        warn(f"warning: Package(s) not found for: {name}")
    say("\n---\n".join(
        f"Name: {name}\nVersion: {installed[name]}\nLocation: {environment.packages}\nRequires:\nRequired-by:" for name in found
    ))  # fmt: skip
    return 0 if found else 1


def _uninstall(environment: Environment, installed: dict[str, str], options: _Options) -> None:
    found = [normal(name) for name in options.rest if normal(name) in installed]
    for name in found:
        environment.remove(name, installed[name], resolver.commands_of(name))
    if found:
        warn(f"Uninstalled {_count(len(found))} in 85ms")
        warn("\n".join(f" - {name}=={installed[name]}" for name in found))
    else:
        warn("warning: No packages to uninstall")


def _count(number: int) -> str:
    return f"{number} package" if number == 1 else f"{number} packages"
