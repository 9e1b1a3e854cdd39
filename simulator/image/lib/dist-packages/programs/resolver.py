"""Which packages an install brings: pins, newest versions, what they need, torch's builds by CUDA.

A small part of what a resolver does: enough to end in the same versions, replacements and refusals for what a
training environment asks for. It installs nothing.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hardware.facts import machine

from programs import real_wheels

# What download.pytorch.org has besides torch itself.
_TORCH_INDEX = {
    "torch", "torchvision", "torchaudio", "xformers", "triton", "numpy", "pillow", "filelock", "fsspec",
    "jinja2", "markupsafe", "mpmath", "networkx", "sympy", "typing-extensions", "setuptools", "packaging",
    "certifi", "requests",
}  # fmt: skip
_LATER = "2026"
_TORCH_FAMILY = ("torch", "torchvision", "torchaudio", "xformers")


class Unsatisfiable(Exception):
    """No versions fit; the text is what uv says after `cause:`."""


class Package(NamedTuple):
    """One package of a plan; `megabytes` is what its download weighs, a real one has no `module`."""

    name: str
    version: str
    megabytes: float
    needs: list[str]
    module: str
    commands: dict[str, str]


class _Wanted(NamedTuple):
    name: str
    operator: str
    version: str


def resolve(
    specs: list[str],
    installed: dict[str, str],
    indexes: list[str],
    constraints: list[str] | None = None,
    *,
    upgrade: bool,
    needs: bool,
    until: str | None = None,
) -> list[Package]:
    """Return every package that the specs bring, those already there included.

    Args:
        specs: requirements as pip writes them.
        installed: `name: version` of what is there.
        indexes: `cu128` and the like for a torch index, `pypi` for the default one, in order of priority.
        constraints: requirements that only count for what is brought anyway.
        upgrade: replace what is there by the newest that fits.
        needs: include what the packages need.
        until: the day after which nothing is taken, `YYYY-MM-DD`.

    Raises:
        Unsatisfiable: a package or a version that no index has.
    """
    wanted = {want.name: want for want in map(_parse, specs)}
    queue = list(wanted)
    for limit in map(_parse, constraints or []):
        if limit.name not in wanted or not wanted[limit.name].operator:
            wanted[limit.name] = limit
    torch = _torch_version(wanted, installed, indexes, upgrade=upgrade)
    plan: dict[str, Package] = {}
    while queue:
        name = queue.pop(0)
        if name in plan:
            continue
        plan[name] = _choose(name, wanted.get(name), installed, indexes, torch, upgrade=upgrade, until=until)
        if needs:
            queue += plan[name].needs
            if not plan[name].module:  # a real package runs on real ones only
                for need in plan[name].needs:
                    if version := real_wheels.version(need):
                        wanted.setdefault(need, _Wanted(need, "==", version))
    return sorted(plan.values())


def commands_of(name: str) -> dict[str, str]:
    """Return `command: program` that a package installs."""
    found: dict[str, str] = _data()["commands"].get(name, {})
    return found


def best_backend() -> str:
    """Return the torch index that `--torch-backend=auto` takes for this machine's driver."""
    driver = tuple(int(part) for part in machine().gpus[0].cuda.split(".")) if machine().gpus else (0, 0)
    fitting = [
        build
        for build in _data()["torch_builds"]
        if build != "cpu" and (int(build[2:-1]), int(build[-1])) <= driver
    ]
    return max(fitting, key=lambda build: int(build[2:]), default="cpu")


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads((Path(__file__).parent / "wheels.json").read_text(encoding="utf-8"))
    return data


def _parse(spec: str) -> _Wanted:
    match = re.match(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(==|>=|<=|~=|<|>|!=)?\s*([^\s,;]*)", spec)
    if match is None:
        raise Unsatisfiable(f"Failed to parse: `{spec}`")
    name, operator, version = match.groups()
    return _Wanted(normal(name), operator or "", version or "")


def _torch_version(
    wanted: dict[str, _Wanted], installed: dict[str, str], indexes: list[str], *, upgrade: bool
) -> str:
    """Settle torch's version first: its companions follow it, or it follows a companion's pin."""
    data = _data()
    have = installed.get("torch", "")
    bare = have.split("+")[0]
    if want := wanted.get("torch"):
        if have and not upgrade and _fits(have, want):
            return have
        return _torch_build(want, indexes)
    for companion in ("xformers", "torchvision"):
        if want := wanted.get(companion):
            table: dict[str, str] = data[companion]
            pinned = [torch for torch, version in table.items() if version == want.version.split("+")[0]]
            newest = list(table)[-1] if companion == "xformers" and indexes == ["pypi"] else bare
            needed = pinned[0] if pinned else newest
            if needed and needed != bare:
                return _torch_build(_Wanted("torch", "==", needed), indexes)
    return have or _torch_build(_Wanted("torch", "", ""), indexes)


def _torch_build(want: _Wanted, indexes: list[str]) -> str:
    data = _data()
    for index in indexes:
        versions = data["pypi_cuda"] if index == "pypi" else data["torch_builds"].get(index, [])
        fitting = [version for version in versions if _fits(version, want)]
        if fitting:
            return fitting[-1] if index == "pypi" else f"{fitting[-1]}+{index}"
    raise Unsatisfiable(
        f"Because there is no version of torch{want.operator}{want.version} and you require "
        f"torch{want.operator}{want.version}, we can conclude that your requirements are unsatisfiable."
    )


def _choose(
    name: str,
    want: _Wanted | None,
    installed: dict[str, str],
    indexes: list[str],
    torch: str,
    *,
    upgrade: bool,
    until: str | None,
) -> Package:
    data = _data()
    real = real_wheels.version(name) if name in data["real"] else None
    pin = want.version if want and want.operator == "==" else None
    if real and "pypi" in indexes and (pin == real or (name not in data["packages"] and pin is None)):
        needs = [
            need for need in real_wheels.needs(name) if need in data["packages"] or real_wheels.version(need)
        ]
        return Package(name, real, 0.5, needs, "", {})
    if name not in data["packages"] or (
        "pypi" not in indexes and name not in _TORCH_INDEX and not name.startswith("nvidia-")
    ):
        raise Unsatisfiable(
            f"Because {name} was not found in the package registry and you require {name}, "
            "we can conclude that your requirements are unsatisfiable."
        )
    newest, megabytes, needs, *module = data["packages"][name]
    if name in data["later"] and pin is None and (until is None or until > _LATER):
        newest, megabytes, needs = data["later"][name]
    bare, _, build = torch.partition("+")
    if name in _TORCH_FAMILY:
        version = torch if name == "torch" else data.get(name, {}).get(bare, bare)
        if name in {"torchvision", "torchaudio"} and build:
            version += f"+{build}"
    else:
        version = newest
        if want and want.operator in {"==", "~=", "<="}:
            version = want.version
        have = installed.get(name)
        if have and not upgrade and (want is None or _fits(have, want)):
            version = have
    if build == "cpu" or (name == "torch" and build == "cpu"):
        needs = [need for need in needs if not need.startswith("nvidia-") and need != "triton"]
        megabytes = min(megabytes, 200)
    return Package(
        name,
        version,
        megabytes,
        needs,
        module[0] if module else normal(name).replace("-", "_"),
        commands_of(name),
    )


def _fits(version: str, want: _Wanted) -> bool:
    have, limit = _numbers(version), _numbers(want.version)
    plain = version if "+" in want.version else version.partition("+")[0]
    return {
        "": True,
        "==": plain == want.version,
        "!=": plain != want.version,
        ">=": have >= limit,
        "~=": have >= limit,
        "<=": have <= limit,
        "<": have < limit,
        ">": have > limit,
    }[want.operator]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+", maxsplit=1)[0]))


def normal(name: str) -> str:
    """Return a package name in the form that all its spellings share."""
    return re.sub(r"[-_.]+", "-", name).lower()
