"""One ComfyUI and one gateway for all tests that leave them as they are."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from comfy_server import comfyui
from gateway_server import Gateway, gateway

from gateway import health


@pytest.fixture(scope="session", autouse=True)
def _watchful() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "_POLL", 0.1)
        patch.setattr(health, "_RETRY", 0.2)
        yield


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    with comfyui(tmp_path_factory.mktemp("comfyui")) as found:
        yield found


@pytest.fixture(scope="session")
def shared(comfy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(
        tmp_path_factory.mktemp("gateway"), comfy.url, body_mb=2, comfyui_folder=comfy.folder
    ) as found:
        yield found


@pytest.fixture(scope="session")
def slow_comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A ComfyUI that takes its time for each step."""
    with comfyui(tmp_path_factory.mktemp("slow-comfyui"), step=0.1) as found:
        yield found


@pytest.fixture(scope="session")
def slow(slow_comfy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("slow-gateway"), slow_comfy.url) as found:
        yield found


class _OpenAI(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.headers["Authorization"], body["messages"][-1]["content"]))
        answer = {"choices": [{"message": {"content": " a red fox in snow, golden hour\n"}}]}
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def openai() -> Iterator[ThreadingHTTPServer]:
    """What stands for OpenAI's API."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _OpenAI) as found:
        found.url, found.asked, found.status = f"http://127.0.0.1:{found.server_port}", [], 200
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()
