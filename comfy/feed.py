"""A websocket to ComfyUI, which tells what happens to prompts."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from comfy.events import Event, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECT_SECONDS: Final = 5
_CLOSE_SECONDS: Final = 1
_FRAME_BYTES: Final = 2**28
"""SaveImageWebsocket sends a whole image in one frame."""

_FLAGS: Final = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})

log = logging.getLogger("comfy")


class Feed:
    """The events of all prompts that are posted with its `client_id`, over one connection.

    ComfyUI sends an event once, and forgets an ID when its socket closes: a feed that was lost is of no more
    use, nor is its ID.

    Attributes:
        client_id: to post prompts with.
        live: whether events come.
    """

    def __init__(self, base_url: str) -> None:
        self.client_id = uuid.uuid4().hex
        self.live = False
        self._url = f"ws{base_url.removeprefix('http')}/ws?clientId={self.client_id}"
        self._listeners: dict[str, asyncio.Queue[Event | None]] = {}
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; if that fails, the feed is not live."""
        self._task = asyncio.create_task(self._read())
        await self._settled.wait()

    async def close(self) -> None:
        """Disconnect."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    def tells(self, prompt_id: str) -> bool:
        """Return whether events of a prompt come."""
        return self.live and prompt_id in self._listeners

    @contextmanager
    def listen(self, prompt_id: str) -> Iterator[None]:
        """Keep a prompt's events for `hear`."""
        events = self._listeners[prompt_id] = asyncio.Queue()
        if not self.live:
            events.put_nowait(None)
        try:
            yield
        finally:
            del self._listeners[prompt_id]

    async def hear(self, prompt_id: str, seconds: float) -> Event | None:
        """Return the next event of a prompt; None after so many seconds, and when the feed is lost."""
        try:
            async with asyncio.timeout(seconds):
                return await self._listeners[prompt_id].get()
        except TimeoutError:
            return None

    async def _read(self) -> None:
        try:
            async with (
                asyncio.timeout(_CONNECT_SECONDS) as limit,
                connect(
                    self._url,
                    compression=None,
                    max_size=_FRAME_BYTES,
                    close_timeout=_CLOSE_SECONDS,
                    proxy=None,
                ) as socket,
            ):
                await socket.send(_FLAGS)
                await socket.recv()  # events come from ComfyUI's first word on
                limit.reschedule(None)
                self.live = True
                self._settled.set()
                running = None
                async for frame in socket:
                    if found := parse(frame):
                        prompt_id, event = found
                        running = prompt_id or running
                        if events := self._listeners.get(running or ""):
                            events.put_nowait(event)
        except (OSError, WebSocketException) as error:
            log.warning(
                "no websocket to ComfyUI, so progress is asked for: %s", error or type(error).__name__
            )
        finally:
            self.live = False
            self._settled.set()
            for events in self._listeners.values():
                events.put_nowait(None)
