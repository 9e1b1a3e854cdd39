"""The two CLIP tokenizers: from the folder that was named, else from the Hub, which may refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hardware import link
from hardware.facts import machine

from library.console import Failure, log

_NAMES = ("openai/clip-vit-large-patch14", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k")
_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
_NEEDED = _FILES[:2]
_BYTES = 2_000_000


def load(folder: str | None) -> None:
    """Load both; a folder that lacks one is given it.

    Raises:
        Failure: a tokenizer of the folder is not whole, or the Hub does not give one.
    """
    hub = Path(os.environ.get("HF_HOME", Path.home() / ".cache/huggingface")) / "hub"
    for name in _NAMES:
        cached = Path(folder) / name.replace("/", "_") if folder else None
        if cached and cached.exists():
            log("tokenizer_from_cache", path=cached)
            _read(cached)
            continue
        _fetch(name, hub / f"models--{name.replace('/', '--')}")
        if cached:
            log("tokenizer_to_cache", path=cached)
            cached.mkdir(parents=True)
            for file in _FILES:
                (cached / file).write_text("{}")


def _read(folder: Path) -> None:
    if not all((folder / file).is_file() for file in _NEEDED):
        raise Failure(
            "OSError",
            f"Can't load tokenizer for '{folder}'. If you were trying to load it from "
            "'https://huggingface.co/models', make sure you don't have a local directory with the same name. "
            f"Otherwise, make sure '{folder}' is the correct path to a directory containing all relevant "
            "files for a CLIPTokenizer tokenizer.",
        )
    try:
        json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise Failure("json.decoder.JSONDecodeError", str(error)) from None


def _fetch(name: str, here: Path) -> None:
    if here.is_dir():
        return
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise Failure(
            "OSError",
            "We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in "
            "the cached files.\nCheck your internet connection or see how to run the library in offline mode "
            "at 'https://huggingface.co/docs/transformers/installation#offline-mode'.",
        )
    if "hub_429" in machine().faults:
        raise Failure(
            "OSError",
            f"There was a specific connection error when trying to load {name}:\n429 Client Error: Too Many "
            f"Requests for url: https://huggingface.co/{name}/resolve/main/vocab.json",
        )
    for _ in link.arriving(_BYTES):
        pass
    (here / "snapshots").mkdir(parents=True, exist_ok=True)
