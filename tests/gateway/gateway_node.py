"""A gateway as a rented machine runs it: a process of its own, TLS, to be killed and started again."""

import os
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from gateway_server import MODELS, SMALL, TOKENS, client, write_files

from components.comfyui.front import Replica
from gateway.certificate import certificate


@dataclass
class Node:
    """A gateway in a process of its own, with a certificate of its own."""

    name: str
    folder: Path
    port: int
    comfyui: str
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        write_files(self.folder, MODELS)
        self.certificate = certificate(self.folder / "tls", "127.0.0.1")

    def start(self) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "COMFYUI_URL": self.comfyui,
            "API_PORT": str(self.port),
            "GATEWAY_NAME": self.name,
            "GATEWAY_RATE": "1000000",
            "GATEWAY_TLS_CERT": "tls/certificate.pem",
            "GATEWAY_TLS_KEY": "tls/key.pem",
            **self.settings,
        }
        command = [sys.executable, "-m", "gateway"]
        self.process = subprocess.Popen(command, cwd=self.folder, env=environment)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def ready(self) -> dict:
        """What it says once it makes images."""
        try:
            with self._asking() as asking:
                reply = asking.get("/ready")
        except httpx.TransportError:
            return {}
        return reply.json() if reply.is_success else {}

    def post(self, **body: object) -> httpx.Response:
        """Ask this replica alone for an image."""
        with self._asking() as asking:
            return asking.post("/jobs", json={"prompt": "a fox", **SMALL, **body})

    def jobs(self) -> list[dict]:
        """What this replica alone knows."""
        with self._asking() as asking:
            return asking.get("/jobs").json()["jobs"]

    def _asking(self) -> httpx.Client:
        trust = ssl.create_default_context(cadata=self.certificate)
        return client(f"https://127.0.0.1:{self.port}", TOKENS["artist"], verify=trust)

    @property
    def replica(self) -> Replica:
        return Replica(self.name, "127.0.0.1", self.port, self.certificate)
