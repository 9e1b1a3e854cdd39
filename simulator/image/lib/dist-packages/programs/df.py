"""`df`: the container's disk as rented, with what lies on it; other paths are the real df's business.

Files count with the size that they claim, so that a stand-in weighs what the true file would.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from hardware.facts import machine

from programs.console import fail, say

_IMAGE_BYTES = 14_000_000_000
"""What the image itself takes of the disk (assumed: CUDA, Python, torch)."""

_SHARED = "/dev/" + "shm"
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4, "KB": 1000, "MB": 1000**2, "GB": 1000**3}


class _Row(NamedTuple):
    source: str
    kind: str
    size: int
    used: int
    target: str


def main(arguments: list[str]) -> int:
    """Run df."""
    unit, human, kinds, output, paths = 1024, False, False, None, list[str]()
    for argument in arguments:
        if argument in {"-h", "--human-readable"}:
            human = True
        elif argument in {"-k", "-m"}:
            unit = _UNITS[argument[1].upper()]
        elif argument.startswith(("-B", "--block-size=")):
            text = argument.removeprefix("--block-size=").removeprefix("-B")
            unit = int(text) if text.isdigit() else _UNITS.get(text, 1024)
        elif argument.startswith("--output"):
            output = argument.partition("=")[2].split(",") if "=" in argument else []
        elif argument in {"-T", "--print-type"}:
            kinds = True
        elif argument in {"-P", "--portability", "-a", "-l", "--local"}:
            continue
        elif argument.startswith("-"):
            fail(f"df: unrecognized option '{argument}'\nTry 'df --help' for more information.", 1)
        else:
            paths.append(argument)
    rows = _rows(paths)
    _print(rows, unit, output, human=human, kinds=kinds)
    return 0 if len(rows) >= len(paths) else 1


def _rows(paths: list[str]) -> list[_Row]:
    disk = int(machine().disk * 1e9)
    used = disk if "disk_full" in machine().faults else min(disk, _IMAGE_BYTES + _written())
    overlay = _Row("overlay", "overlay", disk, used, "/")
    shared = machine().ram_mib * 2**20 // 2
    rows = [
        overlay,
        _Row("tmpfs", "tmpfs", 64 * 2**20, 0, "/dev"),
        _Row("shm", "tmpfs", shared, 0, _SHARED),
    ]
    if not paths:
        return rows
    found = []
    for path in paths:
        if not Path(path).exists():
            fail(f"df: {path}: No such file or directory", 1)
        found.append(rows[2] if path.startswith(_SHARED) else rows[1] if path.startswith("/dev") else overlay)
    return found


def _written() -> int:
    """Return the bytes of the files in the workspace and at home, each file once."""
    sizes = {}
    for root in (Path(os.environ.get("WORKSPACE", "/workspace")), Path.home()):
        for folder, _, names in os.walk(root):
            for name in names:
                status = Path(folder, name).lstat()
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values())


def _print(rows: list[_Row], unit: int, output: list[str] | None, *, human: bool, kinds: bool) -> None:
    def amount(size: int) -> str:
        if not human:
            return str(-(-size // unit))
        value, letter = float(size), ""
        for letter in ("", "K", "M", "G", "T"):
            if value < 1024 or letter == "T":
                break
            value /= 1024
        return f"{value:.1f}{letter}" if value < 10 and letter else f"{-(-value // 1):.0f}{letter}"

    sizes = "Size" if human else f"{'1' if unit == 1 else ''}{_unit_name(unit)}-blocks"
    heads = {
        "source": "Filesystem",
        "fstype": "Type",
        "size": sizes,
        "used": "Used",
        "avail": "Avail" if human else "Available",
    }
    heads |= {"pcent": "Use%", "target": "Mounted on"}
    chosen = output or ["source", *(["fstype"] if kinds else []), "size", "used", "avail", "pcent", "target"]
    for name in chosen:
        if name not in heads:
            fail(f"df: option --output: field '{name}' unknown\nTry 'df --help' for more information.", 1)
    table = [[heads[name] if output is None or name != "avail" else "Avail" for name in chosen]]
    for row in rows:
        free = row.size - row.used
        share = f"{-(-row.used * 100 // row.size)}%" if row.size else "-"
        cells = {"source": row.source, "fstype": row.kind, "size": amount(row.size), "used": amount(row.used)}
        cells |= {"avail": amount(free), "pcent": share, "target": row.target}
        table.append([cells[name] for name in chosen])
    least = {"source": 14, "size": 5, "used": 5, "avail": 5, "pcent": 4}
    widths = [
        max(least.get(name, 0), *(len(line[column]) for line in table)) for column, name in enumerate(chosen)
    ]
    for line in table:
        parts = [
            cell.ljust(width) if name in {"source", "fstype", "target"} else cell.rjust(width)
            for name, cell, width in zip(chosen, line, widths, strict=True)
        ]
        say(" ".join(parts).rstrip())


def _unit_name(unit: int) -> str:
    return {1: "B", 1024: "1K", 1024**2: "1M", 1024**3: "1G"}.get(unit, str(unit))
