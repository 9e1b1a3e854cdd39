"""The simulator as one object: a world, its HTTP server and the thread that both live in."""

from __future__ import annotations

import asyncio
import logging
import socket
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette

from simulator.control import Control, control_routes
from simulator.faults import Faults
from simulator.gate import CallLog, Gate, Protocol
from simulator.ratelimit import RateLimiter
from simulator.routes import api_routes
from simulator.world import World

if TYPE_CHECKING:
    from typing import Self

    from starlette.types import ASGIApp

    from simulator.hosts import MakeHost

TICK = 0.05  # real seconds between two looks at what is due
CHECKPOINT_EVERY = 20  # ticks
START_TIMEOUT = 30.0


class Simulator:
    """A running simulator; use it as a context manager, or call `stop`.

    Attributes:
        url: what VAST_URL has to be.
        api_key: what VAST_API_KEY has to be.
        world: everything in it; touch it only through the API and `/_sim/`, it lives in a thread.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        scale: float = 60.0,
        seed: int = 7,
        data: Path | None = None,
        calm: bool = False,
        rate_limits: float = 1.0,
        make_host: MakeHost | None = None,
    ) -> None:
        """Start serving on loopback.

        Args:
            port: TCP port; 0 picks a free one.
            scale: virtual seconds per real second.
            seed: of the market; a world that exists keeps its own.
            data: folder of the world; a temporary one without it.
            calm: nothing happens by itself: no faults, outbids, other renters or moving prices.
            rate_limits: factor on Vast's intervals between calls; 0 turns them off.
            make_host: makes the machines; the real ones by default.
        """
        self._temporary = None if data else tempfile.TemporaryDirectory(prefix="simulator-")
        self._options = (data or Path(self._temporary.name), seed, scale, calm, make_host)  # type: ignore[union-attr]
        self._limiter = RateLimiter(rate_limits)
        self._socket = socket.create_server(("127.0.0.1", port))
        # connections inherit it; asyncio sets it for sockets of its own making only
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.api_key = ""
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT):
            raise TimeoutError(f"the simulator did not start within {START_TIMEOUT:g} s")
        if self._problem is not None:
            raise self._problem

    def stop(self) -> None:
        """Stop the machines and the server; the folder keeps the world."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._ready.is_set():
                logging.getLogger(__name__).exception("the simulator stopped")
            self._problem = error
        finally:
            self._socket.close()
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        data, seed, scale, calm, make_host = self._options
        world = self.world = World(
            data, seed=seed, scale=scale, calm=calm, make_host=make_host or self._real_machines()
        )
        account_keys = world.keys.of_account() or [world.keys.create("account", world.settle())]
        self.api_key = account_keys[0].key
        config = uvicorn.Config(
            self._app(world), http=Protocol, log_config=None, lifespan="off", access_log=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn tells no other way
            await asyncio.sleep(0.005)
        world.resume()
        self._ready.set()
        await self._tick(world, serving)
        server.should_exit = True
        await serving
        await world.close()

    def _app(self, world: World) -> ASGIApp:
        faults, calls = Faults(), CallLog()
        routes = control_routes(Control(world, faults, calls)) + api_routes(world, self._limiter)
        return Gate(Starlette(routes=routes), faults, calls)

    def _real_machines(self) -> MakeHost:
        from simulator.machine.host import make_host  # noqa: PLC0415 - tests bring their own machines
        from simulator.machine.internet import Internet  # noqa: PLC0415 - likewise

        return partial(make_host, internet=Internet(self._socket.getsockname()[1]))

    async def _tick(self, world: World, serving: asyncio.Task[None]) -> None:
        count = 0
        while not self._stopping.is_set() and not serving.done():
            count += 1
            if count % CHECKPOINT_EVERY == 0:
                world.checkpoint()
            else:
                world.settle()
            await asyncio.sleep(TICK)
