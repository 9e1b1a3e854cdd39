"""Graphs for the stand-in ComfyUI, and a client that posts them and collects what happens."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

Graph = dict[str, Any]
IMAGE: Graph = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "probe"}},
}
TEXT: Graph = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": ["1", 1]}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": 3,
            "cfg": 7.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["3", 0],
            "latent_image": ["5", 0],
        },
    },
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 128, "batch_size": 1}},
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"filename_prefix": "t2i", "images": ["6", 0]}},
}


def changed(graph: Graph, **inputs: Any) -> Graph:
    """Return a copy with other inputs, each named `node_input`; None takes one away."""
    new = copy.deepcopy(graph)
    for name, value in inputs.items():
        node, _, key = name.removeprefix("n").partition("_")
        if value is None:
            del new[node]["inputs"][key]
        else:
            new[node]["inputs"][key] = value
    return new


class Comfy:
    """A client of one server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=10, trust_env=False)

    def post(self, graph: Any, **fields: Any) -> httpx.Response:
        return self.http.post("/prompt", json={"prompt": graph, **fields})

    def run(self, graph: Graph, **fields: Any) -> dict[str, Any]:
        """Post a graph and return its entry in the history."""
        answer = self.post(graph, **fields)
        assert answer.status_code == 200, answer.text
        return self.ended(answer.json()["prompt_id"])

    def ended(self, prompt_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 10
        while not (found := self.http.get(f"/history/{prompt_id}").json()):
            assert time.monotonic() < deadline, "it did not end"
            time.sleep(0.005)
        entry: dict[str, Any] = found[prompt_id]
        return entry

    def image(self, entry: dict[str, Any], node: str = "7") -> bytes:
        """Return the first image of a node."""
        answer = self.http.get("/view", params=entry["outputs"][node]["images"][0])
        assert answer.status_code == 200
        return answer.content

    def listen(self, client_id: str) -> ClientConnection:
        return connect(f"{self.url.replace('http', 'ws')}/ws?clientId={client_id}", max_size=None, proxy=None)


def heard(socket: ClientConnection, last: str = "executing null") -> list[str]:
    """Return what a socket hears in short words, up to a message."""
    found = []
    while not found or found[-1] != last:
        found.append(short(socket.recv(timeout=10)))
    return found


def short(frame: str | bytes) -> str:  # noqa: PLR0911 - one for each kind
    if isinstance(frame, bytes):
        return f"binary {int.from_bytes(frame[:4])}"
    message = json.loads(frame)
    kind, data = message["type"], message["data"]
    match kind:
        case "status":
            return f"status {data['status']['exec_info']['queue_remaining']}"
        case "executing":
            return f"executing {data['node'] or 'null'}"
        case "progress":
            return f"progress {data['node']} {data['value']}/{data['max']}"
        case "progress_state":
            node, state = list(data["nodes"].items())[-1]
            return f"{state['state']} {node} {state['value']:g}/{state['max']:g}"
        case "execution_cached":
            return f"cached {' '.join(data['nodes'])}".strip()
        case "executed":
            return f"executed {data['node']} {data['output']['images'][0]['filename']}"
    return str(kind)
