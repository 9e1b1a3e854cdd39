"""What the build of Vast.ai's Kohya image left in its environment: torch, the GUI's packages, no TensorBoard.

Its pins are not known here: they are other ones than those of the sd-scripts that a person checks out.
"""

from __future__ import annotations

import sys
from pathlib import Path

from programs import resolver
from programs.environment import Environment

_SPECS = [
    *("torch==2.7.1", "torchvision==0.22.1", "xformers==0.0.31.post1", "accelerate", "transformers"),
    *("diffusers", "bitsandbytes", "safetensors", "huggingface-hub", "toml", "voluptuous", "rich", "einops"),
]


def main(arguments: list[str]) -> int:
    """Fill the environment in a folder, which programs will find elsewhere."""
    folder, seen = map(Path, arguments)
    environment = Environment(folder, seen)
    for package in resolver.resolve(_SPECS, {}, ["cu128", "pypi"], upgrade=False, needs=True):
        environment.install(package)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
