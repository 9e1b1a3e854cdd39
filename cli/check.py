"""`./fragua test`: lint, types, import rules, and every test, each visible in the output."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_CHECKS: Final = (
    ("lint", ["-m", "ruff", "check"]),
    ("format", ["-m", "ruff", "format", "--check"]),
    ("types", ["-m", "mypy"]),
    ("imports", ["-c", "from importlinter.cli import lint_imports_command as run; run()"]),
)


def run(root: Path, arguments: list[str]) -> int:
    """Run everything and return the first exit code that is not 0; with `arguments`, only pytest on them."""
    if arguments:
        return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=root, check=False).returncode
    for name, command in _CHECKS:
        print(f"== {name}", flush=True)
        if code := subprocess.run([sys.executable, *command], cwd=root, check=False).returncode:
            return code
    print("== tests", flush=True)
    workers = str(min(4, os.cpu_count() or 1))
    # who is done early takes over what another worker still has: the slow tests lie together
    pytest = ["-m", "pytest", "-n", workers, "--dist", "worksteal", "--durations=10"]
    return subprocess.run([sys.executable, *pytest], cwd=root, check=False).returncode
