"""How large Docker images are that a machine pulls before anything runs. Pure."""

from __future__ import annotations

from typing import Final

_GB: Final[dict[str, float]] = {
    "vastai/pytorch": 8.2,
    "vastai/comfy": 10.5,
    "vastai/kohya": 11.0,
    "nvidia/cuda": 3.0,
    "ubuntu": 0.03,
}
"""Compressed GB by the beginning of a name: assumptions, since their sizes change with every tag."""
_UNKNOWN: Final = 5.0


def image_gb(name: str) -> float:
    """Return GB to pull of the Docker image of that name."""
    plain = name.removeprefix("docker.io/").removeprefix("library/")
    return next((gb for prefix, gb in _GB.items() if plain.startswith(prefix)), _UNKNOWN)
