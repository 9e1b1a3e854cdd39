"""What holds for every connection and every answer, whoever asks: patience, and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import h11
from starlette.datastructures import MutableHeaders
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.metrics import Metrics

_HEAD_SECONDS: Final = 10
"""In which the head of a request must have come, and the handshake of TLS before it."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Patient(H11Protocol):
    """HTTP that closes a connection on which a request has begun and its head does not come to an end."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(_HEAD_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        """Expect the rest of a head, if this was not all of it."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._settle()
        elif self._timer is None:
            self._timer = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._settle()
        super().connection_lost(exc)

    def _settle(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


class Headers:
    """Middleware that sets the headers of every answer, and counts it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers.setdefault("Cache-Control", "no-store")
                route: Any = scope.get("route")
                # nobody's inventions become labels
                names = (scope["method"], route.path) if hasattr(route, "path") else ("other", "other")
                self._metrics.requests.labels(*names, message["status"]).inc()
            await send(message)

        await self._app(scope, receive, with_headers)
