"""How much VRAM and disk a training takes. Pure.

Weights, gradients and optimizer states follow from SDXL's parameters (2.567 billion in the U-Net, 0.818 in
the text encoders); what activations take is fitted to reports: a LoRA of rank 32 takes 8 to 10 GB at batch 1
and 12 to 15 at batch 4, a full fine-tune without checkpointing 8 to 12 GB for each image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_UNET, _TEXT = 2.567, 0.818
"""Billions of parameters, so that times bytes they are GB."""
_CUDA: Final = 0.7
_LORA_RANK: Final = {False: 2.66e-3, True: 3.56e-3}
"""Billions of parameters for each rank: U-Net alone, and with both text encoders."""
_STATES: Final = {
    "AdamW8bit": 2.0,
    "Lion8bit": 1.0,
    "Lion": 4.0,
    "SGDNesterov": 4.0,
    "SGDNesterov8bit": 1.0,
    "Adafactor": 0.05,
    "Prodigy": 16.0,
    "DAdaptation": 16.0,
    "DAdaptAdam": 16.0,
}
"""Bytes for each trained parameter; AdamW's 8 where an optimizer is not listed."""

BASE_GB: Final = 6.94
"""SDXL's checkpoint in fp16."""
_ENVIRONMENT_GB: Final = 15.0


@dataclass(frozen=True)
class Shape:
    """What the need for memory follows from.

    Attributes:
        rank: of a LoRA; 0 for a full fine-tune.
        text_encoders: whether they are trained.
        text_cached: whether captions are encoded once, so that text encoders leave the GPU.
        optimizer: sd-scripts' name.
        batch_size: images of one step on one GPU.
        resolution: pixels of a square's side.
        checkpointing: whether activations are computed twice.
        full_bf16: whether weights and gradients are in bf16.
        fused: whether gradients are used up while they are computed.
        processes: GPUs that train together.
    """

    rank: int
    text_encoders: bool
    text_cached: bool
    optimizer: str
    batch_size: int
    resolution: int
    checkpointing: bool
    full_bf16: bool
    fused: bool
    processes: int

    @property
    def trained(self) -> float:
        """Billions of parameters that are trained."""
        if self.rank:
            return self.rank * _LORA_RANK[self.text_encoders]
        return _UNET + (_TEXT if self.text_encoders else 0)


def static_gb(shape: Shape) -> float:
    """Return GB of VRAM on each GPU for weights, gradients and optimizer, whatever the batch."""
    width = 2 if shape.full_bf16 else 4
    gradients = width * shape.trained * (0.1 if shape.fused else 1)
    states = 0 if shape.optimizer.startswith("Paged") else _state_bytes(shape)
    frozen = 2 * _UNET if shape.rank else 0
    text = 0 if shape.text_cached or (not shape.rank and shape.text_encoders) else 2 * _TEXT
    return _CUDA + frozen + text + width * shape.trained + gradients + states * shape.trained


def vram_gb(shape: Shape) -> float:
    """Return GB of VRAM on each GPU that a step takes at most."""
    size = shape.batch_size * (shape.resolution / 1024) ** 2
    activations = 0.6 + (9.5 if shape.rank else 12.0) * size
    if shape.checkpointing:
        fixed, image = (1.2, 1.2) if shape.rank else (2.2, 1.0 if shape.full_bf16 else 1.6)
        activations = min(activations, fixed + image * size)
    return static_gb(shape) + activations + 0.6 * shape.text_encoders * size


def checkpoint_gb(shape: Shape) -> float:
    """Return GB of one checkpoint in fp16."""
    return 2 * shape.trained if shape.rank else BASE_GB


def state_gb(shape: Shape) -> float:
    """Return GB of one state folder: weights and optimizer."""
    width = 2 if shape.full_bf16 else 4
    return (width + _state_bytes(shape)) * shape.trained


def _state_bytes(shape: Shape) -> float:
    """Return the optimizer's bytes for each trained parameter; what is paged lies in the host's memory."""
    halved = shape.full_bf16 and not shape.optimizer.endswith("8bit")
    return _STATES.get(shape.optimizer.removeprefix("Paged"), 8.0) * (0.5 if halved else 1)


def disk_gb(shape: Shape, images: int, dataset_gb: float, checkpoints: int, states: int) -> float:
    """Return GB of disk that a run needs.

    Args:
        shape: the training.
        images: of the dataset; each caches its latents (0.26 MB at 1024 pixels) and captions (up to 1.9 MB).
        dataset_gb: its files.
        checkpoints: that lie on the machine at once; one more while a new one is written.
        states: likewise; 0 for none.
    """
    caches = images * (0.26e-3 * (shape.resolution / 1024) ** 2 + 1.9e-3 * shape.text_cached)
    saved = (checkpoints + 1) * checkpoint_gb(shape) + (states + 1 if states else 0) * state_gb(shape)
    return BASE_GB + _ENVIRONMENT_GB + 2 * dataset_gb + caches + saved
