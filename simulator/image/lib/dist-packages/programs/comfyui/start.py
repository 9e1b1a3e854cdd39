"""The start from a checkout: what it imports must be installed, and a GPU must be there."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn

from hardware.facts import machine

if TYPE_CHECKING:
    from pathlib import Path

_IMPORTS = (
    "torch", "torchsde", "numpy", "einops", "transformers", "tokenizers", "safetensors", "scipy", "tqdm",
    "psutil", "yaml", "PIL", "av", "aiohttp", "yarl", "sentencepiece", "torchaudio", "torchvision",
    "spandrel", "kornia", "pydantic", "pydantic_settings", "comfyui_frontend_package", "requests",
)  # fmt: skip
"""In the order of the real one's imports; the last is one that requirements.txt does not name."""


def start(checkout: Path) -> None:
    """Serve what the command line asks for, from this checkout."""
    for name in _IMPORTS:
        if find_spec(name) is None:
            _fail(
                "app/frontend_management.py",
                f"import {name}",
                f"ModuleNotFoundError: No module named '{name}'",
            )
    if "--cpu" not in sys.argv:
        _require_gpu()
    if machine().wheels:
        # before the environment's own, whose packages are stand-ins for the most part
        sys.path.insert(0, str(machine().wheels))
    from programs.comfyui.main import main  # noqa: PLC0415 - it needs that path

    main(checkout)


def _require_gpu() -> None:
    import torch  # noqa: PLC0415 - of the environment that it is started in

    try:
        torch.cuda.current_device()
    except Exception as error:  # noqa: BLE001 - whatever torch says
        _fail("comfy/model_management.py", "torch.cuda.current_device()", f"{type(error).__name__}: {error}")


def _fail(file: str, line: str, error: str) -> NoReturn:
    sys.stderr.write(
        f'Traceback (most recent call last):\n  File "{file}", line 1, in <module>\n    {line}\n{error}\n'
    )
    sys.exit(1)
