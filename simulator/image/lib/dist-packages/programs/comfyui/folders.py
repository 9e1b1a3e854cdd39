"""Where ComfyUI looks for models and puts images: its base folder, and what `extra_model_paths.yaml` adds."""

from __future__ import annotations

import os
import shutil
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import argparse

KINDS = (
    "checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision",
    "style_models", "embeddings", "diffusers", "vae_approx", "controlnet", "gligen", "upscale_models",
    "custom_nodes", "hypernetworks", "photomaker", "classifiers", "model_patches", "audio_encoders",
)  # fmt: skip
_LEGACY = {"clip": "text_encoders", "unet": "diffusion_models", "t2i_adapter": "controlnet"}
_IN_OUTPUT = {"checkpoints": "checkpoints", "loras": "loras", "vae": "vae", "clip": "text_encoders",
              "diffusion_models": "diffusion_models"}  # fmt: skip
_SUFFIXES = {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}


class Folders:
    """The folders of one server.

    Attributes:
        base: what holds `models`, `custom_nodes` and the rest.
        output: `input` and `temp` likewise: folders of images.
        models: search paths by kind, the first match wins.
    """

    def __init__(self, args: argparse.Namespace, checkout: Path) -> None:
        """Settle the folders, make those that are missing, empty `temp`."""
        self.base = Path(args.base_directory or checkout).absolute()
        self.output = Path(args.output_directory or self.base / "output").absolute()
        self.input = Path(args.input_directory or self.base / "input").absolute()
        temp = Path(args.temp_directory) if args.temp_directory else self.base
        self.temp = temp.absolute() / "temp"
        self.models = {kind: [self.base / "models" / kind] for kind in KINDS}
        self.models["custom_nodes"] = [self.base / "custom_nodes"]
        for old, kind in _LEGACY.items():
            self.models[kind].append(self.base / "models" / old)
        for file in (checkout / "extra_model_paths.yaml", *chain(*args.extra_model_paths_config)):
            if file.is_file():
                self._extend(file)
        for name, kind in _IN_OUTPUT.items():
            self.models[kind].append(self.output / name)
        shutil.rmtree(self.temp, ignore_errors=True)
        for folder in (self.output, self.input, self.temp, self.base / "user"):
            folder.mkdir(parents=True, exist_ok=True)

    def _extend(self, file: Path) -> None:
        sections: dict[str, dict[str, Any] | None] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        for section in sections.values():
            if section is None:
                continue
            base = Path(os.path.expandvars(section.pop("base_path", ""))).expanduser()
            first = section.pop("is_default", False)
            for name, paths in section.items():
                kind = _LEGACY.get(name, name)
                for line in filter(None, map(str.strip, str(paths).split("\n"))):
                    known = self.models.setdefault(kind, [])
                    known.insert(0 if first else len(known), file.parent / base / line)

    def image(self, kind: str) -> Path | None:
        """Return the folder of a `type`: output, input or temp."""
        return {"output": self.output, "input": self.input, "temp": self.temp}.get(kind)

    def names(self, kind: str) -> list[str]:
        """Return the names of a kind's files, relative to their folders."""
        suffixes = _SUFFIXES if kind in KINDS and kind != "configs" else None
        found = set()
        for folder in self.models[kind]:
            for directory, _, files in os.walk(folder, followlinks=True):
                for name in files:
                    if suffixes is None or Path(name).suffix.lower() in suffixes:
                        found.add(Path(directory, name).relative_to(folder).as_posix())
        return sorted(found)

    def find(self, kind: str, name: str) -> Path | None:
        """Return the file of that name, if there is one."""
        paths = (folder / os.path.relpath(f"/{name}", "/") for folder in self.models.get(kind, []))
        return next((path for path in paths if path.is_file()), None)

    def inputs(self) -> list[str]:
        """Return the names of the files that can be loaded as images."""
        return sorted(entry.name for entry in self.input.iterdir() if entry.is_file())
