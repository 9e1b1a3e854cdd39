"""One engine request in flight: where its messages go and when it has to stop."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from toolchain.command_plugin.protocol import engine_pb2, grpc

T = TypeVar("T")

INFO = engine_pb2.INFO
WARNING = engine_pb2.WARNING
ERROR = engine_pb2.ERROR


class CommandError(Exception):
    """A failure that the engine shows to the person as it stands."""


class StoppedError(CommandError):
    """The engine cancelled, or the resource's custom timeout has passed."""


class Call:
    """What an operation needs from the request that it serves.

    Args:
        urn: the resource that messages belong to; empty for a function.
        timeout: seconds that the engine allows, 0 for no limit.
        cancelled: set when the engine asks the plugin to stop.
        engine: the engine's logging service, None where there is no engine.
    """

    def __init__(self, urn: str, timeout: float, cancelled: asyncio.Event, engine: Any) -> None:
        self._urn = urn
        self._deadline = asyncio.get_running_loop().time() + timeout if timeout else None
        self._cancelled = cancelled
        self._engine = engine

    async def log(self, message: str, *, severity: Any = INFO, passing: bool = False) -> None:
        """Shows a line to the person; a passing one only while the operation runs."""
        if self._engine is None:
            return
        request = engine_pb2.LogRequest(severity=severity, message=message, urn=self._urn, ephemeral=passing)
        try:
            await self._engine.Log(request)
        except grpc.aio.AioRpcError:
            return  # a line that cannot be shown is no reason to fail the operation

    async def unless_stopped(self, work: Awaitable[T]) -> T:
        """Awaits work, but no longer than the request may take.

        Raises:
            StoppedError: the request is over; the work is cancelled.
        """
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._cancelled.wait())
        try:
            await asyncio.wait({task, stop}, timeout=self._remaining(), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            cause = "context canceled" if stop.done() else "context deadline exceeded"
            raise StoppedError(cause)
        finally:
            stop.cancel()
            task.cancel()

    def _remaining(self) -> float | None:
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - asyncio.get_running_loop().time())
