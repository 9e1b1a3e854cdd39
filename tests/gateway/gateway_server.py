"""A real gateway in front of a stand-in ComfyUI, for tests."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from gateway.__main__ import server
from gateway.settings import Settings

TOKENS = {"artist": "token-of-the-artist", "robot": "token-of-the-robot"}
MODELS = {
    "checkpoint": "sd.safetensors",
    "loras": {"papercut": "papercut.safetensors"},
    "lora_strengths": {"papercut": 0.8},
}
SMALL = {"width": 256, "height": 256, "steps": 2}
"""Enough of an image for most tests."""


@dataclass
class Gateway:
    """One that runs; `client` asks in the name of the artist."""

    url: str
    folder: Path
    client: httpx.Client
    clients: list[httpx.Client] = field(default_factory=list)

    def as_(self, name: str) -> httpx.Client:
        """Return a client in the name of another token."""
        self.clients.append(client(self.url, TOKENS[name]))
        return self.clients[-1]

    def close(self) -> None:
        """Close the connections of all clients."""
        for each in (self.client, *self.clients):
            each.close()

    def post(
        self, path: str = "/generate", headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Ask for a small image, or for what else the body says."""
        return self.client.post(path, json={"prompt": "a fox", **SMALL, **body}, headers=headers)

    def submit(self, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
        """Submit a job and return it."""
        answer = self.post("/jobs", headers, **body)
        assert answer.status_code == 202, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def until(self, id_: str, *states: str) -> dict[str, Any]:
        """Wait until a job is in one of the states, and return it."""

        def there() -> dict[str, Any] | None:
            job: dict[str, Any] = self.client.get(f"/jobs/{id_}").json()
            return job if job["state"] in states else None

        return until(there)

    def events(self, id_: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Follow a job to its end."""
        with self.client.stream("GET", f"/jobs/{id_}/events") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            kind = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    yield kind, json.loads(line[6:])


def client(url: str, token: str, **settings: Any) -> httpx.Client:
    """Return a client with that token."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=20, trust_env=False, **settings)


def until(found: Callable[[], Any], seconds: float = 15) -> Any:
    """Return what `found` returns, once that is something."""
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return result


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def write_files(folder: Path, models: dict[str, Any], **catalogue: Any) -> None:
    """Write what a gateway reads in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}:{sha256(token.encode()).hexdigest()}\n" for name, token in TOKENS.items()]
    (folder / "tokens").write_text("".join(lines))
    (folder / "catalogue.json").write_text(json.dumps({"models": models, **catalogue}))


@contextmanager
def gateway(
    folder: Path,
    comfyui_url: str,
    *,
    models: dict[str, Any] = MODELS,
    catalogue: dict[str, Any] | None = None,
    ready: bool = True,
    **settings: Any,
) -> Iterator[Gateway]:
    """Run a gateway in a thread.

    Args:
        folder: where its files are, from one run to the next.
        comfyui_url: of its ComfyUI.
        models: that it offers.
        catalogue: what else it does.
        ready: whether to wait until it is.
        settings: of `gateway.settings.Settings`.
    """
    write_files(folder, models, **(catalogue or {}))
    files = {name: folder / name for name in ("data", "tokens")} | {"catalogue": folder / "catalogue.json"}
    port = free_port()
    running = server(
        Settings(
            **{"comfyui_url": comfyui_url, "port": port, "price": 0.36, "rate": 1e6, **files, **settings}
        )
    )
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    with _asked(folder, port, tls=settings.get("tls_cert"), ready=ready) as found:
        try:
            yield found
        finally:
            found.close()
            running.should_exit = True
            thread.join(10)


@contextmanager
def gateway_process(folder: Path, comfyui_url: str) -> Iterator[tuple[Gateway, subprocess.Popen[bytes]]]:
    """Run a gateway as the node does, in a process of its own."""
    write_files(folder, MODELS)
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "COMFYUI_URL": comfyui_url,
        "API_PORT": str(port),
        "GATEWAY_RATE": "1000000",
    }
    process = subprocess.Popen([sys.executable, "-m", "gateway"], cwd=folder, env=environment)
    try:
        with _asked(folder, port, tls=None, ready=True) as found:
            yield found, process
    finally:
        process.kill()
        process.wait()


@contextmanager
def _asked(folder: Path, port: int, *, tls: Path | None, ready: bool) -> Iterator[Gateway]:
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    trust = {"verify": ssl.create_default_context(cafile=str(tls))} if tls else {}
    found = Gateway(url, folder, client(url, TOKENS["artist"], **trust))

    def answers() -> bool:
        try:
            return found.client.get("/ready" if ready else "/whoami").status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(answers)
        yield found
    finally:
        found.close()
