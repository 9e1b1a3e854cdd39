"""The websockets: who listens under which ID, and what is sent to whom.

As in the real server an ID has one socket, the newest; and when an older one closes, the ID is forgotten.
"""

from __future__ import annotations

import asyncio
import io
import json
import struct
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image
    from starlette.websockets import WebSocket

_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4
_FORMS = {"JPEG": 1, "PNG": 2}


class Sockets:
    """All connections.

    Attributes:
        client: whose prompt runs, if it was posted with an ID.
        node: the node that runs.
        features: what the server says of itself.
        remaining: how many prompts wait or run.
    """

    def __init__(self, features: dict[str, Any], remaining: Callable[[], int]) -> None:
        """Start with none."""
        self.client: str | None = None
        self.node: str | None = None
        self.features, self.remaining = features, remaining
        self.loop: asyncio.AbstractEventLoop | None = None
        self._outgoing: dict[str, asyncio.Queue[str | bytes]] = {}
        self._flags: dict[str, dict[str, Any]] = {}

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until it ends."""
        await socket.accept()
        sid = socket.query_params.get("clientId", "") or uuid.uuid4().hex
        self._outgoing.pop(sid, None)
        outgoing = self._outgoing[sid] = asyncio.Queue()
        self._flags[sid] = {}
        writer = asyncio.create_task(_write(socket, outgoing))
        try:
            self._send("status", {"status": self._status(), "sid": sid}, sid)
            if self.client == sid and self.node is not None:
                self._send("executing", {"node": self.node}, sid)
            self._read_flags(await socket.receive_text(), sid)
            while True:
                await socket.receive_text()
        except (WebSocketDisconnect, KeyError):
            pass
        finally:
            self._outgoing.pop(sid, None)
            self._flags.pop(sid, None)
            writer.cancel()

    def _read_flags(self, text: str, sid: str) -> None:
        """Take what a client says first: what it understands."""
        with suppress(ValueError, AttributeError):
            message = json.loads(text)
            if message.get("type") == "feature_flags":
                self._flags[sid] = message.get("data", {})
                self._send("feature_flags", self.features, sid)

    def send(self, event: str, data: dict[str, Any], sid: str | None = None) -> None:
        """Send from any thread, to one ID or to all."""
        self._later(json.dumps({"type": event, "data": data}), sid)

    def send_image(self, image: Image.Image, form: str, about: dict[str, Any] | None) -> None:
        """Send a picture to the client whose prompt runs, with what it shows or without."""
        encoded = io.BytesIO()
        image.save(encoded, form, **({"quality": 95} if form == "JPEG" else {"compress_level": 1}))
        if about is None:
            head = struct.pack(">II", _PREVIEW, _FORMS[form])
        else:
            text = json.dumps({**about, "image_type": f"image/{form.lower()}"}).encode()
            head = struct.pack(">II", _PREVIEW_WITH_METADATA, len(text)) + text
        self._later(head + encoded.getvalue(), self.client)

    def wants_metadata(self, sid: str | None) -> bool:
        """Return whether a client said that it understands previews with metadata."""
        return bool(self._flags.get(sid or "", {}).get("supports_preview_metadata"))

    def tell_queue(self) -> None:
        """Tell everyone how long the queue is."""
        self.send("status", {"status": self._status()})

    def _status(self) -> dict[str, Any]:
        return {"exec_info": {"queue_remaining": self.remaining()}}

    def _send(self, event: str, data: dict[str, Any], sid: str) -> None:
        self._put(json.dumps({"type": event, "data": data}), sid)

    def _later(self, frame: str | bytes, sid: str | None) -> None:
        if self.loop:
            self.loop.call_soon_threadsafe(self._put, frame, sid)

    def _put(self, frame: str | bytes, sid: str | None) -> None:
        for name, outgoing in self._outgoing.items():
            if sid is None or sid == name:
                outgoing.put_nowait(frame)


async def _write(socket: WebSocket, outgoing: asyncio.Queue[str | bytes]) -> None:
    with suppress(RuntimeError, WebSocketDisconnect):
        while True:
            frame = await outgoing.get()
            if isinstance(frame, str):
                await socket.send_text(frame)
            else:
                await socket.send_bytes(frame)
