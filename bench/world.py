"""A simulator and Pulumi projects in a temporary folder, for measurements."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests
from PIL import Image

from cli.simulation import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Project:
    """A Pulumi project with one stack, `bench`."""

    def __init__(self, folder: Path, variables: dict[str, str], **config: str) -> None:
        """Make the stack of the project in `folder`, whose config has the keys and values of `config`."""
        self.folder, self._variables = folder, {**os.environ, **variables}
        self.pulumi("stack", "init", "bench")
        for key, value in config.items():
            self.pulumi("config", "set", "--path", key.replace("__", "."), value)

    def pulumi(self, *arguments: str) -> float:
        """Run `pulumi` and return how many seconds it took."""
        start = time.monotonic()
        command = ["pulumi", *arguments, "--non-interactive"]
        done = subprocess.run(
            command, cwd=self.folder, env=self._variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return time.monotonic() - start


@contextmanager
def cloud(root: Path, folder: Path, scale: float) -> Iterator[dict[str, str]]:
    """Run a simulator and yield the variables for Pulumi projects that use it."""
    (folder / "state").mkdir()
    with running(root, folder / "cloud", scale=scale, keep=False) as settings:
        yield {
            **settings,
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "FRAGUA_HOME": str(folder),
        }


def calls(variables: dict[str, str]) -> list[dict[str, Any]]:
    """Return the simulator's log of API calls."""
    reply = requests.get(f"{variables['VAST_URL']}/_sim/calls", timeout=30).json()
    return list(reply["calls"])


def photographs(folder: Path, count: int, suffix: str) -> None:
    """Make images with captions, as large as photographs are, each unlike all others."""
    folder.mkdir()
    for number in range(count):
        noise = Image.frombytes("RGB", (128, 128), os.urandom(3 * 128 * 128))
        photograph = noise.resize((1024, 1024), Image.Resampling.BICUBIC)
        photograph.save(folder / f"{number:04}.{suffix}", compress_level=1)
        (folder / f"{number:04}.txt").write_text(f"photograph {number}\n", encoding="utf-8")
