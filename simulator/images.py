"""How large the images are: what decides how long a host pulls them."""

from __future__ import annotations

SIZES = {
    "vastai/pytorch": 8.2,
    "vastai/comfy": 10.5,
    "vastai/comfyui": 10.5,
    "vastai/kohya": 11.0,
    "vastai/base-image": 4.6,
    "pytorch/pytorch": 4.1,
    "nvidia/cuda": 3.2,
    "ubuntu": 0.03,
}
"""Compressed GB by repository; figures of the order of the published ones."""
DEFAULT_SIZE = 5.0
UNPACK_GB_PER_SECOND = 0.35
REACH = 1000.0  # Mbps; a registry rarely serves faster


def pull_seconds(image: str, inet_down: float) -> float:
    """Return how long a host with `inet_down` Mbps takes to pull and unpack `image`."""
    repository = image.removeprefix("docker.io/").partition("@")[0].partition(":")[0]
    size = SIZES.get(repository, DEFAULT_SIZE)
    return size * 8000 / min(inet_down, REACH) + size / UNPACK_GB_PER_SECOND
