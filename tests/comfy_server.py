"""A stand-in ComfyUI as a process of its own, for tests: real HTTP, real files, no GPU, no time."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

PACKAGES = Path(__file__).parents[1] / "simulator/image/lib/dist-packages"
MODELS = (
    "checkpoints/sd.safetensors",
    "checkpoints/refiner.safetensors",
    "vae/vae.safetensors",
    "loras/papercut.safetensors",
    "loras/ink.safetensors",
    "upscale_models/4x.safetensors",
)


@dataclass
class ComfyUI:
    """One that runs.

    Attributes:
        url: without a slash at its end.
        folder: its base folder: models, input, output, temp, custom_nodes.
        process: the server.
    """

    port: int
    folder: Path
    command: list[str]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = None  # type: ignore[assignment]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def start(self, seconds: float = 20) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, cwd=self.folder, stdout=log, stderr=log
            )
        end = time.monotonic() + seconds
        while True:
            try:
                with urlopen(f"{self.url}/system_stats", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < end, f"it does not answer: {self.log()}"
                time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """End it as a crash does, and start it again on the same port."""
        self.kill()
        self.start()


@contextmanager
def comfyui(
    folder: Path,
    *flags: str,
    models: Mapping[str, bytes | None] | None = None,
    step: float = 0,
    vram: int = 24564,
    port: int | None = None,
) -> Iterator[ComfyUI]:
    """Run one on loopback, and end it.

    Args:
        folder: becomes its base folder.
        flags: ComfyUI's own; previews are on unless `--preview-method` is among them.
        models: content by path under `models/`; None for a tiny file that is whole.
        step: real seconds of each sampler step.
        vram: MiB of the GPU.
        port: another than a free one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (dict.fromkeys(MODELS) if models is None else models).items():
        path = folder / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiny_model(name) if content is None else content)
    for name in ("models", "custom_nodes"):
        (folder / name).mkdir(exist_ok=True)
    gpu = {
        "name": "NVIDIA GeForce RTX 4090",
        "memory_mib": vram,
        "driver": "570.124.04",
        "cuda": "12.8",
        "uuid": "GPU-1",
    }
    facts = {
        "gpus": [gpu], "scale": 1_000_000, "inet_down_mbps": 800, "inet_up_mbps": 200, "disk_gb": 100,
        "cpu_cores": 8, "ram_mib": 65536, "image": "vastai/comfy:v0.3.64", "web": None, "faults": [],
    }  # fmt: skip
    (folder / "facts.json").write_text(json.dumps(facts))
    (folder / "run").mkdir(exist_ok=True)
    port = port or free_port()
    command = [sys.executable, "-m", "programs.comfyui", "--base-directory", str(folder), "--port", str(port)]
    if "--preview-method" not in flags:
        command += ["--preview-method", "auto"]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PACKAGES),
        "SIMULATED_MACHINE": str(folder / "facts.json"),
        "SIMULATED_TRAFFIC": str(folder / "run/traffic"),
    }
    if step:
        environment["SIMULATED_STEP_SECONDS"] = str(step)
    server = ComfyUI(port, folder, [*command, *flags], environment)
    try:
        server.start()
        yield server
    finally:
        if server.process:
            server.kill()


def tiny_model(name: str) -> bytes:
    """Return a whole safetensors file of a few bytes, with a tensor that tells what it is."""
    tensor = "lora_unet_input_blocks_4_1_proj_in.alpha" if name.startswith("loras/") else "model.weight"
    table = {
        "__metadata__": {"ss_output_name": Path(name).stem},
        tensor: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    }
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
