"""The Pulumi engine: found on PATH, else fetched, else built. Knows nothing of stacks.

An engine is five things that belong together: the CLI, the Python language host, the two scripts
which that starts, and a Python SDK. requirements.lock pins the last; this module finds or makes
the others.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolchain import cache, release, source
from toolchain.console import say
from toolchain.versions import order

if TYPE_CHECKING:
    from toolchain.versions import Versions

EXECUTABLES = (
    "pulumi",
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-resource-pulumi-python",
)

_RELEASED = {"x86_64": "x64", "aarch64": "arm64"}
"""The machines for which there is a Linux release, by Pulumi's names for them."""


class EngineError(Exception):
    """There is no engine that is new enough here, and no way to get one."""


@dataclass(frozen=True)
class Engine:
    """An engine that can be run.

    Attributes:
        bin: The folder of `pulumi`.
        provided: Fetched or built by us, in our cache folder. Otherwise it is the user's own, and
            so are its PULUMI_HOME and plugins.
    """

    bin: Path
    provided: bool


def ensure(versions: Versions, cache_folder: Path, path: str) -> Engine:
    """The engine to use: `pulumi` on `path` if it is new enough, else ours, made if need be.

    Args:
        versions: What to accept and what to make.
        cache_folder: Where ours is, or will be.
        path: The PATH on which `pulumi` and `go` are looked for.

    Raises:
        EngineError: There is none and none can be had; says why and what to install.
    """
    try:
        return on_path(versions.engine_minimum, cache_folder, path)
    except EngineError as error:
        obstacles = [str(error)]
    ours = Engine(cache_folder / "engine" / versions.engine / "bin", provided=True)
    if ours.bin.exists():
        return ours
    with cache.exclusive(cache_folder / "engine.lock", "setting up Pulumi"):
        for way in (_fetch, _build):
            if ours.bin.exists():  # made by whoever held the lock before
                return ours
            try:
                with cache.published(ours.bin) as folder:
                    way(versions, folder, cache_folder, path)
            except (EngineError, release.ReleaseError, source.SourceError) as error:
                say(str(error))
                obstacles.append(str(error))
            else:
                return ours
    raise EngineError(
        "\n  ".join(["there is no Pulumi engine here and none can be made:", *obstacles])
        + f"""
Do one of these, then run the same command again:
  - install Pulumi {versions.engine_minimum} or newer, so that `pulumi` is on PATH: \
https://www.pulumi.com/docs/install/
  - connect this machine to the internet: Pulumi {versions.engine} is then fetched and checked
  - install Go {versions.go_minimum} or newer: https://go.dev/dl/; Pulumi is then built, in minutes"""
    )


def on_path(minimum: str, cache_folder: Path, path: str) -> Engine:
    """The engine on `path`.

    Raises:
        EngineError: There is none, it is too old, or its Python language host isn't with it.
    """
    found = shutil.which("pulumi", path=path)
    if found is None:
        raise EngineError("no `pulumi` on PATH")
    version = _version_once(Path(found), cache_folder / "engine" / "on-path")
    if order(version) < order(minimum):
        raise EngineError(f"{found} is version {version or '(unknown)'}, older than {minimum}")
    # Pulumi looks for these on PATH and beside the file that `pulumi` is a link to.
    beside = f"{path}{os.pathsep}{Path(found).resolve().parent}"
    for executable in EXECUTABLES:
        if shutil.which(executable, path=beside) is None:
            raise EngineError(f"{found} has no {executable}, neither beside it nor on PATH")
    return Engine(Path(found).parent, provided=Path(found).is_relative_to(cache_folder))


def _version_once(pulumi: Path, memory: Path) -> str:
    """`_version`, remembered for as long as the file stays the same: asking costs 0.15 s."""
    status = pulumi.stat()
    question = f"{pulumi} {status.st_mtime_ns} {status.st_size} "
    known = memory.read_text() if memory.exists() else ""
    if known.startswith(question):
        return known.removeprefix(question)
    version = _version(pulumi)
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(question + version)
    return version


def _version(pulumi: Path) -> str:
    """What `pulumi version` says, without the leading "v"; empty if it says nothing."""
    try:
        answer = subprocess.run(
            [pulumi, "version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip().removeprefix("v")


def _fetch(versions: Versions, folder: Path, cache_folder: Path, _path: str) -> None:
    machine = _RELEASED.get(platform.machine())
    if machine is None or platform.system() != "Linux":
        raise EngineError(f"there is no release for {platform.system()} on {platform.machine()}")
    url = versions.archive.format(version=versions.engine, machine=machine)
    say(f"fetching Pulumi {versions.engine}")
    archive = release.download(url, versions.sha256[machine], cache_folder / "download")
    release.unpack(archive, EXECUTABLES, folder)
    _check(folder, versions.engine)
    archive.unlink()


def _build(versions: Versions, folder: Path, cache_folder: Path, path: str) -> None:
    go = source.find_go(versions.go_minimum, path)
    source.build(go, versions.engine, folder, cache_folder)
    _check(folder, versions.engine)
    shutil.rmtree(cache_folder / "go", ignore_errors=True)  # gigabytes that nobody needs any more


def _check(folder: Path, wanted: str) -> None:
    version = _version(folder / "pulumi")
    if version != wanted:
        raise EngineError(f"the new pulumi says it is {version or '(nothing)'}, not {wanted}")
