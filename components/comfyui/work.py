"""What serving asks of each of its machines, for the room of money to price. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from components.cost.images import image_gb
from components.cost.work import Work

if TYPE_CHECKING:
    from components.spec.infer import InferJob

_PACKAGES_GB: Final = {"own": 4.0, "template": 0.1, "image": 0.1}
"""To download: torch with CUDA's libraries and what ComfyUI needs; what an image has is not."""
_NODES_GB: Final = 0.2
"""For each pack of custom nodes: an assumption, as the seconds below."""
_INSTALL_SECONDS: Final = {"own": 180.0, "template": 90.0, "image": 30.0}
_START_SECONDS: Final = 60.0
"""From ComfyUI's start to its first image."""
_MODEL_GB: Final = {"checkpoint": 6.94, "refiner": 6.08, "vae": 0.33, "upscaler": 0.07, "loras": 0.2}
"""Of SDXL's own files; a LoRA of rank 32 is as large."""


def work(job: InferJob, uploaded: int) -> Work:
    """Return what one machine of `job` is asked for: to be up for `budget.hours`.

    Args:
        job: the job.
        uploaded: bytes of the models that lie on this computer.
    """
    sizes = {key: _MODEL_GB[key.partition(".")[0]] for key in job.models.sources()}
    downloads = [
        sizes[key] for key, source in job.models.sources().items() if source.huggingface or source.url
    ]
    trained = [sizes[key] for key, source in job.models.sources().items() if source.train]
    way = job.comfyui.install
    return Work(
        kind="up",
        hours=job.budget.up_hours,
        disk=job.node.disk,
        image=image_gb(job.node.image),
        fetched=_PACKAGES_GB[way] + _NODES_GB * len(job.comfyui.custom_nodes) + sum(downloads),
        sent=uploaded / 1e9 + sum(trained),
        setup=_INSTALL_SECONDS[way] + _START_SECONDS,
    )
