"""The packages that are installed as they are, from a folder that the machine shows: for programs that run.

An environment gets links to them. Which of them a machine offers is in `wheels.json`.
"""

from __future__ import annotations

import csv
import re
import shutil
from functools import cache
from pathlib import Path

from hardware.facts import machine


def version(name: str) -> str | None:
    """Return the version of a package that is there, by its normal name."""
    folder = _folders().get(name)
    return folder.name.removesuffix(".dist-info").rpartition("-")[2] if folder else None


def needs(name: str) -> list[str]:
    """Return the normal names of what a package may need besides its extras."""
    text = (_folders()[name] / "METADATA").read_text(encoding="utf-8")
    lines = re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE)
    names = [re.match(r"[\w.-]+", line) for line in lines if "extra ==" not in line]
    return [_normal(found[0]) for found in names if found]


def link(name: str, packages: Path) -> None:
    """Make a package importable in the site-packages folder of an environment."""
    source = _folders()[name]
    with (source / "RECORD").open(encoding="utf-8", newline="") as record:
        modules = {row[0].partition("/")[0] for row in csv.reader(record)} - {
            source.name,
            "..",
            "__pycache__",
        }
    for module in modules:
        target = packages / module
        target.unlink(missing_ok=True)
        target.symlink_to(source.parent / module)
    information = packages / source.name
    shutil.copytree(source, information, dirs_exist_ok=True)
    (information / "top_level.txt").write_text("\n".join(sorted(modules)) + "\n")
    (information / "INSTALLER").write_text("uv")


@cache
def _folders() -> dict[str, Path]:
    try:
        wheels = machine().wheels
    except FileNotFoundError:  # an image is built on no machine
        wheels = None
    found = Path(wheels).glob("*.dist-info") if wheels else ()
    return {_normal(folder.name.removesuffix(".dist-info").rpartition("-")[0]): folder for folder in found}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
