"""What does the gateway cost beside the bare ComfyUI, and beside a client that asks once a second?

A stand-in ComfyUI whose steps take a fixed time makes every image; at 1, 8 and 32 clients at once, each way
in turn and again. `bare` posts a graph and follows it over the websocket, `polling` posts and asks /history
once a second as the guide does, `gateway` is POST /generate. Clients and servers share this computer.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

import httpx

from comfy.client import ComfyClient
from comfy.workflows import Models, catalogue, seeded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_CLIENTS: Final = (1, 8, 32)
_ROUNDS: Final = 3
_STEPS, _STEP = 4, 0.05
_SMALL: Final = {"prompt": "a lighthouse", "width": 256, "height": 256, "steps": _STEPS}
_TEXT: Final = catalogue(Models(checkpoint="sd.safetensors"))["text-to-image"]


def main(root: Path) -> None:
    """Print added latency and share of throughput."""
    sys.path += [str(root / "tests"), str(root / "tests/gateway")]
    from comfy_server import comfyui  # type: ignore[import-not-found] # noqa: PLC0415 - of the tests
    from gateway_server import TOKENS, gateway_process  # type: ignore[import-not-found] # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder, comfyui(Path(folder, "comfyui"), step=_STEP) as server:
        os.environ |= {"GATEWAY_QUEUE": "100", "GATEWAY_RATE": "100000"}
        with gateway_process(Path(folder, "gateway"), server.url) as (gateway, _):
            asyncio.run(_measure(server.url, gateway.url, TOKENS["artist"]))


async def _measure(comfyui: str, gateway: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    limits = httpx.Limits(max_connections=max(_CLIENTS))
    async with (
        ComfyClient(comfyui) as client,
        httpx.AsyncClient(base_url=comfyui, limits=limits, timeout=120) as plain,
        httpx.AsyncClient(base_url=gateway, headers=headers, limits=limits, timeout=120) as asking,
    ):

        async def bare() -> None:
            assert await client.run(_graph())

        async def polling() -> None:
            prompt = (await plain.post("/prompt", json={"prompt": _graph()})).json()["prompt_id"]
            while not (found := (await plain.get(f"/history/{prompt}")).json()):  # noqa: ASYNC110 - measured
                await asyncio.sleep(1)
            [image] = next(iter(found[prompt]["outputs"].values()))["images"]
            assert (await plain.get("/view", params=image)).is_success

        async def through() -> None:
            assert (await asking.post("/generate", json=_SMALL)).is_success

        ways = {"bare": bare, "polling": polling, "gateway": through}
        print(f"one image takes {_STEPS * _STEP:g} s of sampling; medians of {_ROUNDS} rounds")
        print("clients  way      p50 s  p95 s  images/s  p50 added  p95 added  throughput")
        for clients in _CLIENTS:
            found = {name: await _several(way, clients) for name, way in ways.items()}
            for name, (half, most, rate) in found.items():
                added = [
                    1000 * (mine - base) for mine, base in zip((half, most), found["bare"], strict=False)
                ]
                print(
                    f"{clients:7}  {name:7}  {half:5.3f}  {most:5.3f}  {rate:8.2f}  {added[0]:6.1f} ms  "
                    f"{added[1]:6.1f} ms  {rate / found['bare'][2]:10.2f}",
                    flush=True,
                )


def _graph() -> dict[str, dict[str, object]]:
    return _TEXT.build(seeded(_TEXT.parameters.model_validate(_SMALL)), f"bench/{uuid.uuid4().hex}")


async def _several(way: Callable[[], Awaitable[None]], clients: int) -> tuple[float, float, float]:
    """Return the medians over the rounds of p50 and p95 in seconds and of images a second."""
    rounds = [await _round(way, clients) for _ in range(_ROUNDS)]
    half, most, rate = (median(column) for column in zip(*rounds, strict=True))
    return half, most, rate


async def _round(way: Callable[[], Awaitable[None]], clients: int) -> tuple[float, float, float]:
    each, times = max(2, 24 // clients), list[float]()

    async def client() -> None:
        for _ in range(each):
            start = time.monotonic()
            await way()
            times.append(time.monotonic() - start)

    start = time.monotonic()
    await asyncio.gather(*(client() for _ in range(clients)))
    took = time.monotonic() - start
    return median(times), quantiles(times, n=20)[18], len(times) / took
