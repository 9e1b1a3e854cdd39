"""A folder that stands for the workspace of a machine, where jobs run under a real bash."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from components.dataset.fetch import fetch
from components.spec.source import Source


class Node:
    """A folder that stands for the workspace of a machine."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        workspace.mkdir()
        self.programs = workspace.parent / "bin"
        self.programs.mkdir()
        self.environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(workspace),
            "WORKSPACE": str(workspace),
        }

    def install(self, name: str, script: str) -> None:
        """Put a program on the path."""
        (self.programs / name).write_text(f"#!/bin/bash\n{script}\n")
        (self.programs / name).chmod(0o755)

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as a job is run."""
        return subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{script}"],
            cwd=self.workspace,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def fetch(self, **source: dict[str, str]) -> subprocess.CompletedProcess[str]:
        job = fetch(Source.model_validate(source), "dataset")
        assert job is not None
        return self.bash(job.script)

    @property
    def dataset(self) -> dict[str, bytes]:
        folder = self.workspace / "dataset"
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
