"""What the build of Vast.ai's ComfyUI image left: torch and all that the checkout imports."""

from __future__ import annotations

import sys
from pathlib import Path

from programs import resolver
from programs.environment import Environment

_CHECKOUT = Path(__file__).resolve().parents[3] / "comfyui"
_BUILDS = {"torch": "torch==2.8.0", "torchvision": "torchvision==0.23.0", "torchaudio": "torchaudio==2.8.0"}


def main(arguments: list[str]) -> int:
    """Fill the environment in a folder, which programs will find elsewhere."""
    folder, seen = map(Path, arguments)
    environment = Environment(folder, seen)
    lines = (_CHECKOUT / "requirements.txt").read_text(encoding="utf-8").split("\n")
    specs = [line for line in lines if line and not line.startswith("#") and line not in _BUILDS]
    specs += [*_BUILDS.values(), "requests"]
    for package in resolver.resolve(specs, {}, ["cu128", "pypi"], upgrade=False, needs=True):
        environment.install(package)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
