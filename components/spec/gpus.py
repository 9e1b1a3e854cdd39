"""GPU names as Vast.ai spells them (with spaces) and each one's VRAM in GB.

A family name in a job file, such as `A100`, stands for every name here that begins with it.
VRAM: the cards' nominal sizes; Vast.ai lists some names with several sizes.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VRAM: dict[str, tuple[int, ...]] = {
    "A10": (24,),
    "A100 PCIE": (40, 80),
    "A100 SXM4": (40, 80),
    "A100X": (80,),
    "A16": (16,),
    "A30": (24,),
    "A40": (48,),
    "B200": (180,),
    "GH200 SXM": (96,),
    "GTX 1080 Ti": (11,),
    "H100 NVL": (94,),
    "H100 PCIE": (80,),
    "H100 SXM": (80,),
    "H200": (141,),
    "H200 NVL": (141,),
    "L4": (24,),
    "L40": (48,),
    "L40S": (48,),
    "Q RTX 6000": (24,),
    "Q RTX 8000": (48,),
    "RTX 2080 Ti": (11,),
    "RTX 3060": (12,),
    "RTX 3060 Ti": (8,),
    "RTX 3070": (8,),
    "RTX 3070 Ti": (8,),
    "RTX 3080": (10, 12),
    "RTX 3080 Ti": (12,),
    "RTX 3090": (24,),
    "RTX 3090 Ti": (24,),
    "RTX 4000Ada": (20,),
    "RTX 4060": (8,),
    "RTX 4060 Ti": (8, 16),
    "RTX 4070": (12,),
    "RTX 4070 Ti": (12,),
    "RTX 4070S": (12,),
    "RTX 4070S Ti": (16,),
    "RTX 4080": (16,),
    "RTX 4080S": (16,),
    "RTX 4090": (24,),
    "RTX 4090D": (24,),
    "RTX 4500Ada": (24,),
    "RTX 5000Ada": (32,),
    "RTX 5060": (8,),
    "RTX 5060 Ti": (8, 16),
    "RTX 5070": (12,),
    "RTX 5070 Ti": (16,),
    "RTX 5080": (16,),
    "RTX 5090": (32,),
    "RTX 6000Ada": (48,),
    "RTX A4000": (16,),
    "RTX A4500": (20,),
    "RTX A5000": (24,),
    "RTX A6000": (48,),
    "RTX PRO 6000 S": (96,),
    "RTX PRO 6000 WS": (96,),
    "Tesla P40": (24,),
    "Tesla T4": (16,),
    "Tesla V100": (16, 32),
}

_BEFORE_AMPERE: Final = ("GTX ", "Q RTX ", "Quadro ", "RTX 20", "Tesla ", "TITAN ", "Titan ")
"""How the names begin of cards below compute capability 8.0, by NVIDIA's table of them."""


def has_bf16(name: str) -> bool:
    """Tell whether the card called `name` computes in bf16; a card that is not known here does."""
    return not name.startswith(_BEFORE_AMPERE)


def names(model: str) -> list[str]:
    """Return Vast.ai's names for `model`: itself, or the members of a family such as `A100`.

    An unknown name is returned as it is: the market knows new cards before this table does.
    """
    if model in VRAM:
        return [model]
    return [name for name in VRAM if name.startswith(f"{model} ")] or [model]


def known() -> list[str]:
    """Return every name and family that a job file may use, for suggestions."""
    families = {"A100", "H100", "H200", "GH200", "RTX PRO 6000"}
    return sorted(families | VRAM.keys())


def meant(name: str) -> str:
    """Return what is known here by a name that only capitals, spaces, hyphens or O for 0 tell from `name`."""
    return {_plain(each): each for each in known()}.get(_plain(name), "")


def doubts(models: Iterable[str], place: Callable[[str], str]) -> list[str]:
    """Say of each of `models` that is not known here that it is asked for as it stands, and what it may mean.

    That is no error: cards come out, and a name that nobody has costs nothing. `place` tells where a field
    of the job stands, such as `configs/my.yaml:12: `.
    """
    lower = {each.lower(): each for each in known()}
    found = []
    for model in models:
        asked = model.lower()
        if asked not in lower:
            longer = [each for each in lower if each.endswith(f" {asked}") or asked.endswith(f" {each}")]
            near = longer or get_close_matches(asked, lower, n=1, cutoff=0.75)
            guess = f"; did you mean {lower[near[0]]!r}?" if near else ""
            found.append(
                f"{place('node.gpu.models')}node.gpu.models: {model!r} is no GPU that is known here, and the "
                f"market is asked for it as it stands{guess}"
            )
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s-]", "", name).lower().replace("o", "0")
