"""The node classes: their records as `/object_info` serves them, with the files that are there now."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from programs.comfyui.folders import Folders

_KINDS = {
    "ckpt_name": "checkpoints", "lora_name": "loras", "vae_name": "vae", "model_name": "upscale_models",
    "control_net_name": "controlnet", "unet_name": "diffusion_models", "clip_name": "text_encoders",
    "clip_name1": "text_encoders", "clip_name2": "text_encoders",
}  # fmt: skip


class Table:
    """Which classes there are.

    Attributes:
        custom: the Python classes that came with node packs, by name.
    """

    def __init__(self, folders: Folders, args: argparse.Namespace, log: Callable[[str], None]) -> None:
        """Read the recorded ones, and load the packs in `custom_nodes`."""
        self._folders = folders
        data = _recorded()
        self._records: dict[str, dict[str, Any]] = copy.deepcopy(data["records"])
        for name in data["others"]:
            self._records[name] = _record(name, "nodes", {}, [], output_node=False)
        self.custom: dict[str, Any] = {}
        bundled = "websocket_image_save.py"
        if args.disable_all_custom_nodes and bundled not in args.whitelist_custom_nodes:
            del self._records["SaveImageWebsocket"]
        for path in sorted((folders.base / "custom_nodes").glob("*/__init__.py")):
            if not args.disable_all_custom_nodes or path.parent.name in args.whitelist_custom_nodes:
                self._load(path, log)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a class of that name."""
        return name in self._records

    def record(self, name: str) -> dict[str, Any]:
        """Return one class's record."""
        record = self._records[name]
        fresh = {**record, "input": {need: dict(specs) for need, specs in record["input"].items()}}
        for specs in fresh["input"].values():
            for field, spec in specs.items():
                if (name, field) == ("LoadImage", "image"):
                    specs[field] = [self._folders.inputs(), *spec[1:]]
                elif field in _KINDS:
                    files = self._folders.names(_KINDS[field])
                    if field == "vae_name":
                        files.append("pixel_space")
                    old = spec[0] != "COMBO"
                    specs[field] = [files, *spec[1:]] if old else ["COMBO", {**spec[1], "options": files}]
        return fresh

    def all(self) -> dict[str, dict[str, Any]]:
        """Return every record."""
        return {name: self.record(name) for name in self._records}

    def output_node(self, name: str) -> bool:
        """Return whether the class is one that ends a graph."""
        return bool(self._records[name]["output_node"])

    def _load(self, file: Path, log: Callable[[str], None]) -> None:
        began = time.monotonic()
        name = file.parent.name
        spec = importlib.util.spec_from_file_location(f"custom_nodes.{name}", file)
        if spec is None or spec.loader is None:
            return
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        failed = ""
        try:
            spec.loader.exec_module(module)
            for class_name, made in module.NODE_CLASS_MAPPINGS.items():
                self.custom[class_name] = made
                self._records[class_name] = _record(
                    class_name,
                    f"custom_nodes.{name}",
                    {
                        need: {k: list(v) for k, v in specs.items()}
                        for need, specs in made.INPUT_TYPES().items()
                    },
                    list(made.RETURN_TYPES),
                    output_node=getattr(made, "OUTPUT_NODE", False),
                )
        except Exception as error:  # noqa: BLE001 - whatever a pack does, the server starts without it
            log(f"Cannot import {file.parent} module for custom nodes: {error}")
            failed = " (IMPORT FAILED)"
        took = time.monotonic() - began
        log(f"Import times for custom nodes:\n   {took:.1f} seconds{failed}: {file.parent}")


def _record(
    name: str, module: str, inputs: dict[str, Any], output: list[str], *, output_node: bool
) -> dict[str, Any]:
    return {
        "input": inputs or {"required": {}},
        "input_order": {need: list(specs) for need, specs in inputs.items()} or {"required": []},
        "output": output,
        "output_is_list": [False] * len(output),
        "output_name": output,
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": module,
        "category": "_for_testing",
        "output_node": output_node,
    }


@cache
def _recorded() -> dict[str, Any]:
    text = (Path(__file__).parent / "nodes.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data
