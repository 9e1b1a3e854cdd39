"""What a node needs for each purpose: the guide's table of machines, without its errors. Pure data.

The guide asks for an A100 of 40 GB for everything that trains. Reports and sd-scripts' own numbers say less:
a LoRA takes 8 to 16 GB, a full fine-tune 26 with AdamW8bit and 17 with a fused Adafactor. More kinds of GPU
are more offers to choose from; which of them makes the job cheapest, `components.cost` finds out. A training
can go on elsewhere after a bid is lost, so it may bid; what serves would be gone, so it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PYTORCH: Final = "vastai/pytorch:2.7.1-cu128-py311"

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    # 40 GB: AdamW8bit with room for batches, where 24 would do. Disk: base model 7, environment 15, some
    # checkpoints of 7. Memory: saving copies the weights, 14 GB in fp32.
    "finetune": {
        "gpu": {
            "models": ["A100", "H100", "A40", "L40", "L40S", "RTX A6000", "RTX 6000Ada", "RTX PRO 6000 WS"],
            "vram": 40,
        },
        "image": _PYTORCH,
        "disk": 120,
        "cpu": 8,
        "ram": 48,
        "internet": {"down": 500, "up": 200},
        "max_price": 3.0,
        "bid": "auto",
    },
    # 24 GB: batches of 4 at 1024 pixels, where 12 would do for one image. Memory: loading the base model
    # takes 16 GB for a moment.
    "lora": {
        "gpu": {
            "models": [
                *("RTX 3090", "RTX 3090 Ti", "RTX 4090", "RTX 5090", "RTX A5000", "RTX A6000"),
                *("RTX 6000Ada", "A40", "L40", "L40S", "A100", "H100"),
            ],
            "vram": 24,
        },
        "image": _PYTORCH,
        "disk": 60,
        "cpu": 4,
        "ram": 24,
        "internet": {"down": 200, "up": 50},
        "max_price": 3.0,
        "bid": "auto",
    },
    # 16 GB: SDXL at 1024 pixels takes 8 to 9, a refiner, upscaler or more LoRAs the rest. The RTX 4060 that
    # the guide names has 8; the 4060 Ti has 16.
    "inference": {
        "gpu": {"models": ["RTX 4090", "RTX 4060 Ti", "RTX 3090"], "vram": 16},
        "image": "vastai/comfy:v0.8.2-cuda-12.9-py312",
        "disk": 40,
        "internet": {"down": 200, "up": 50},
        "max_price": 0.8,
    },
}
"""What `node.preset` stands for; every value may be written otherwise beside it."""


def filled(node: object) -> object:
    """Return `node` with what it leaves out as its preset says, and without the preset's name.

    A node whose preset is unknown, or that is no mapping, is returned as it is.
    """
    if not isinstance(node, Mapping) or not isinstance(name := node.get("preset"), str):
        return node
    if name not in PRESETS:
        return node
    return _over(PRESETS[name], {key: value for key, value in node.items() if key != "preset"})


def _over(base: Any, own: Any) -> Any:
    if not (isinstance(base, Mapping) and isinstance(own, Mapping)):
        return own
    return {**base, **{key: _over(base.get(key), value) for key, value in own.items()}}
