"""A machine without a sandbox: the image's programs as real processes, in a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import PIL
from PIL import Image

IMAGE = Path(__file__).parents[2] / "simulator" / "image"

RTX_4090 = ("NVIDIA GeForce RTX 4090", 24564)
A100 = ("NVIDIA A100-SXM4-80GB", 81920)


@dataclass
class Machine:
    """One machine: a folder for everything, the facts, and ways to run programs in it."""

    home: Path
    facts: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)

    def write_facts(self, **changes: Any) -> None:
        self.facts |= changes
        (self.home / "facts.json").write_text(json.dumps(self.facts))

    def with_gpus(self, *cards: tuple[str, int], driver: str = "570.124.04", cuda: str = "12.8") -> None:
        self.write_facts(
            gpus=[
                {
                    "name": name,
                    "memory_mib": mib,
                    "driver": driver,
                    "cuda": cuda,
                    "uuid": f"GPU-0000000{index}",
                }
                for index, (name, mib) in enumerate(cards)
            ]
        )

    def run(self, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        program, *arguments = map(str, command)
        if "/" not in program:
            program = str(IMAGE / "bin" / program)
        environment = self.environment | options.pop("env", {})
        return subprocess.run(
            [program, *arguments],
            cwd=options.pop("cwd", self.home),
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    def write(self, name: str, text: str) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def make_machine(home: Path) -> Machine:
    home.mkdir(parents=True, exist_ok=True)
    tools = home / "tools"
    tools.mkdir()
    (tools / "python3").symlink_to(sys.executable)
    machine = Machine(
        home,
        {
            "scale": 1_000_000,
            "inet_down_mbps": 800,
            "inet_up_mbps": 200,
            "disk_gb": 100,
            "cpu_cores": 8,
            "ram_mib": 65536,
            "image": "vastai/pytorch:2.7.1-cu128-py311",
            "web": None,
            "wheels": str(Path(PIL.__file__).parents[1]),
            "faults": [],
        },
    )
    machine.with_gpus(RTX_4090)
    (home / "run").mkdir()
    machine.environment = {
        "PATH": f"{tools}:{IMAGE / 'bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "400",
        "SIMULATED_MACHINE": str(home / "facts.json"),
        "SIMULATED_TRAFFIC": str(home / "run/traffic"),
    }
    return machine


@dataclass
class Trainer:
    """A machine with the trainer on it and ten captioned images."""

    machine: Machine
    installed: Path

    @property
    def home(self) -> Path:
        return self.machine.home

    @property
    def images(self) -> Path:
        return self.home / "images"

    @property
    def output(self) -> Path:
        return self.home / "output"

    @property
    def base(self) -> Path:
        return self.installed / "base.safetensors"

    def dataset(self, text: str = "", subset: str = "", dataset: str = "") -> Path:
        """Write a dataset TOML: lines for [general], for the dataset, for its subset."""
        return self.machine.write(
            "dataset.toml",
            f'[general]\ncaption_extension = ".txt"\n{text}\n[[datasets]]\nresolution = 1024\nbatch_size = 2\n'
            f'{dataset}\n[[datasets.subsets]]\nimage_dir = "{self.images}"\nnum_repeats = 2\n{subset}\n',
        )

    def add_image(
        self, name: str, size: tuple[int, int] = (1024, 1024), caption: str | None = "a cat"
    ) -> Path:
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (90, 120, 40)).save(path)
        if caption is not None:
            path.with_suffix(".txt").write_text(caption)
        return path

    def run(self, script: str, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.machine.run(
            self.installed / "venv/bin/python", self.installed / "sd-scripts" / script, *arguments, **options
        )

    def launch(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.machine.run(self.installed / "venv/bin/accelerate", "launch", *arguments, **options)

    def lora_arguments(self, *more: str | Path, without: tuple[str, ...] = ()) -> list[str]:
        options: dict[str, str | Path | None] = {
            "pretrained_model_name_or_path": self.base,
            "dataset_config": self.home / "dataset.toml",
            "output_dir": self.output,
            "output_name": "cat",
            "network_module": "networks.lora",
            "network_dim": "32",
            "network_alpha": "16",
            "network_train_unet_only": None,
            "cache_latents": None,
            "cache_text_encoder_outputs": None,
            "mixed_precision": "bf16",
            "sdpa": None,
            "gradient_checkpointing": None,
            "max_train_epochs": "2",
            "learning_rate": "1e-4",
            "optimizer_type": "AdamW8bit",
            "save_precision": "fp16",
            "seed": "42",
        }
        return _flat(options, without) + list(map(str, more))

    def full_arguments(self, *more: str | Path, without: tuple[str, ...] = ()) -> list[str]:
        options: dict[str, str | Path | None] = {
            "pretrained_model_name_or_path": self.base,
            "dataset_config": self.home / "dataset.toml",
            "output_dir": self.output,
            "output_name": "cat",
            "cache_latents": None,
            "cache_text_encoder_outputs": None,
            "mixed_precision": "bf16",
            "full_bf16": None,
            "fused_backward_pass": None,
            "optimizer_type": "Adafactor",
            "sdpa": None,
            "gradient_checkpointing": None,
            "max_train_epochs": "2",
            "save_model_as": "safetensors",
            "save_precision": "fp16",
            "seed": "42",
        }
        return _flat(options, without) + list(map(str, more))

    def lora(self, *more: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        arguments = self.lora_arguments(*more, without=options.pop("without", ()))
        return self.run("sdxl_train_network.py", *arguments, **options)

    def full(self, *more: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        arguments = self.full_arguments(*more, without=options.pop("without", ()))
        return self.run("sdxl_train.py", *arguments, **options)


def _flat(options: dict[str, str | Path | None], without: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name, value in options.items():
        if name not in without:
            found += [f"--{name}"] if value is None else [f"--{name}", str(value)]
    return found
