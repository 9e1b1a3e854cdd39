"""The outermost layer: writes every API call down and lets ordered faults strike it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from simulator.faults import Fault, Faults

Ends = tuple[Any, ...]
connections: dict[Ends, asyncio.Transport] = {}
"""The open connections of this process by both ends' addresses: a fault may cut one."""
JSON = "application/json"


class Protocol(H11Protocol):
    """HTTP/1.1 whose connections can be cut from outside."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection."""
        super().connection_made(transport)
        ends = (transport.get_extra_info(end)[:2] for end in ("peername", "sockname"))
        self._ends = tuple(tuple(end) for end in ends)
        connections[self._ends] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        connections.pop(self._ends, None)
        super().connection_lost(exc)


class CallLog:
    """Every API call since the last reset."""

    def __init__(self) -> None:
        """Start empty."""
        self.calls: list[dict[str, Any]] = []

    def add(self, method: str, path: str, status: int, seconds: float) -> None:
        """Write a call down; status 0 means that the connection was cut."""
        self.calls.append({"method": method, "path": path, "status": status, "seconds": round(seconds, 4)})

    def counts(self) -> dict[str, int]:
        """Return the number of calls by method and path, numbers in the path as `{id}`."""
        counts: dict[str, int] = {}
        for call in self.calls:
            parts = ("{id}" if part.isdigit() else part for part in call["path"].split("/"))
            name = f"{call['method']} {'/'.join(parts)}"
            counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items()))


class Gate:
    """ASGI middleware in front of `/api/`."""

    def __init__(self, app: ASGIApp, faults: Faults, calls: CallLog) -> None:
        """Stand before `app`."""
        self._app, self._faults, self._calls = app, faults, calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or let it go wrong."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].rstrip("/") or "/"
        scope = {**scope, "path": path}
        if not path.startswith("/api/"):
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            fault = self._faults.strike(scope["method"], path)
            await self._suffer(fault, scope, receive, watch)
        finally:
            self._calls.add(scope["method"], path, status, time.monotonic() - started)

    async def _suffer(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.effect == "delay":
            await asyncio.sleep(fault.seconds)
            await self._app(scope, receive, send)
        elif fault.effect == "drop_before":
            await _cut(scope)
        elif fault.effect == "drop_after":
            await self._app(scope, receive, _swallow)
            await _cut(scope)
        else:
            await _answer(fault)(scope, receive, send)


def _answer(fault: Fault) -> Response:
    if fault.effect == "malformed":
        return PlainTextResponse('{"success": true, "instances": [{"id": 1', 200, media_type=JSON)
    if isinstance(fault.body, str):
        return PlainTextResponse(fault.body, fault.status)
    return JSONResponse(fault.body, fault.status)


async def _swallow(message: Message) -> None:
    """Let nobody see the answer."""


async def _cut(scope: Scope) -> None:
    ends = (tuple(scope["client"]), tuple(scope["server"]))
    if ends in connections:
        connections[ends].abort()
    while ends in connections:  # noqa: ASYNC110 - the transport closes in the next turns
        await asyncio.sleep(0)
