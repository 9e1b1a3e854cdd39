"""The start of the server: flags, folders, node packs, one port, one worker."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import time
import traceback
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from programs.comfyui import options, speed, system
from programs.comfyui.execution import Worker
from programs.comfyui.folders import Folders
from programs.comfyui.routes import Api
from programs.comfyui.sockets import Sockets
from programs.comfyui.table import Table
from programs.comfyui.waiting import PromptQueue

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_IMPORTS = 6.0
"""Virtual seconds until torch and the nodes are imported."""

_LOGS = 300


def main(checkout: Path | None = None) -> None:
    """Serve until the program is ended; `checkout` holds main.py and the folders."""
    args = options.parse(sys.argv[1:])
    lines: list[str] = []
    stream = sys.stdout if args.log_stdout else sys.stderr

    def log(text: str) -> None:
        lines.append(text)
        del lines[:-_LOGS]
        stream.write(text + "\n")
        stream.flush()

    speed.spend(_IMPORTS)
    log(f"** ComfyUI startup time: {time.strftime('%Y-%m-%d %H:%M:%S')}\n** Python version: {sys.version}")
    log(f"Total VRAM {speed.vram() // 1024**2:.0f} MB\npytorch version: {system.torch()}")
    folders = Folders(args, checkout or Path.cwd())
    log(f"ComfyUI version: {system.VERSION}")
    table = Table(folders, args, log)
    features = {"supports_preview_metadata": True, "max_upload_size": round(args.max_upload_size * 1024**2)}
    queue = PromptQueue()
    sockets = Sockets(features, queue.remaining)
    queue.changed = sockets.tell_queue
    worker = Worker(args, folders, table, queue, sockets, log)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sockets.loop = asyncio.get_running_loop()
        worker.start()
        log(f"Starting server\n\nTo see the GUI go to: http://{address}:{args.port}")
        yield

    api = Api(worker, queue, lines)
    app = Starlette(
        routes=api.routes(),
        lifespan=lifespan,
        exception_handlers={HTTPException: _refused, Exception: _failed},  # type: ignore[dict-item]
    )
    bound = [_bind(address, args.port) for address in args.listen.split(",")]
    address = args.listen.split(",")[0]
    config = uvicorn.Config(
        Edge(app, args), log_config=None, log_level="critical", ws="websockets-sansio", ws_ping_interval=None,
        ws_max_size=64 * 1024**2, lifespan="on", timeout_graceful_shutdown=1,
    )  # fmt: skip
    try:
        _Server(config).run(sockets=bound)
    except KeyboardInterrupt:
        log("\nStopped server")
    finally:
        shutil.rmtree(folders.temp, ignore_errors=True)


class _Server(uvicorn.Server):
    """Ends by signals at once, as a program that does not catch them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals as they are."""
        yield


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # else asyncio delays small writes
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        bound.bind((address, port))
        bound.listen(128)
    except OSError as error:
        raise OSError(
            error.errno,
            f"error while attempting to bind on address ('{address}', {port}): "
            f"{(error.strerror or '').lower()}",
        ) from None
    bound.set_inheritable(True)
    return bound


class Edge:
    """What stands before all routes: OPTIONS, the check of the origin, and failures without a cause."""

    def __init__(self, app: ASGIApp, args: argparse.Namespace) -> None:
        """Stand before `app`."""
        self._app, self._cors = app, args.enable_cors_header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["method"] == "OPTIONS":
            await Response(headers=self._cors_headers())(scope, receive, send)
        elif self._cors is None and _foreign(headers.get("host", ""), headers.get("origin", "")):
            await Response(status_code=403)(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [
                    (name.lower().encode(), value.encode()) for name, value in self._cors_headers().items()
                ]
                message["headers"] = [*message.get("headers", []), *more]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:  # noqa: BLE001 - the cause is only in the log
            traceback.print_exc()

    def _cors_headers(self) -> dict[str, str]:
        if self._cors is None:
            return {}
        return {
            "Access-Control-Allow-Origin": self._cors,
            "Access-Control-Allow-Methods": "POST, GET, DELETE, PUT, OPTIONS",
            "Access-Control-Allow-Headers": "Content-Type, Authorization",
            "Access-Control-Allow-Credentials": "true",
        }


def _foreign(host: str, origin: str) -> bool:
    """Return whether a page of another origin asks a server on loopback."""
    name = urlsplit(f"//{host}").hostname or ""
    return (
        bool(origin)
        and (name in {"localhost", "::1"} or name.startswith("127."))
        and urlsplit(origin).netloc != host
    )


async def _failed(_: Request, __: Exception) -> Response:
    return PlainTextResponse("500 Internal Server Error\n\nServer got itself in trouble", 500)


async def _refused(_: Request, error: HTTPException) -> Response:
    if error.status_code == 404:
        return Response(status_code=404, media_type="application/octet-stream")
    text = "405: Method Not Allowed" if error.status_code == 405 else error.detail
    return PlainTextResponse(text, error.status_code)
