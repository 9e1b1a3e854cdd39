"""A client of one ComfyUI: runs graphs, tells what happens meanwhile and fetches the pictures."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from comfy.custom import read_graph
from comfy.errors import ComfyError, Gone, Problem, Rejected, TooSlow, Unreachable
from comfy.events import Event, Finished, Queued, Started
from comfy.feed import Feed
from comfy.fill import fill
from comfy.history import SavedImage, finished, saved_images
from comfy.parameters import Limits, TextToImage, seeded, within
from comfy.transport import Transport
from comfy.workflows import Models, text_to_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from comfy.graph import Graph
    from comfy.nodes import Table

_FIRST_SILENCE_SECONDS: Final = 0.1
_SILENCE_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.25
_PATIENCE_SECONDS: Final = 5.0
"""A server or a tunnel that is away for less is not missed."""

_LIMITS: Final = Limits(
    multiple=8, min_side=16, max_side=16384, max_pixels=16384**2, max_steps=10_000, max_batch=64
)
_PARAMETERS: Final = within(TextToImage, _LIMITS, {})
"""What ComfyUI does without changing it."""


@dataclass(frozen=True)
class Picture:
    """An image that a prompt made.

    Attributes:
        node: the ID of the node that saved it.
        filename: its name on the server.
        subfolder: its folder there, under that of all outputs; may be empty.
        data: the file's bytes.
    """

    node: str
    filename: str
    subfolder: str
    data: bytes


class ComfyClient:
    """One ComfyUI. All methods raise `Unreachable` when it does not answer.

    Use it as a context manager, or `close` it. It keeps its connections: HTTP, and one websocket for the
    events of all its prompts.

    Args:
        base_url: such as http://127.0.0.1:18188.
        default_workflow: a file in API format, for `generate_image`.
        deadline: seconds that a prompt may take, waiting included, where a call says nothing.
    """

    def __init__(self, base_url: str, *, default_workflow: Path | None = None, deadline: float = 600) -> None:
        self._base_url = base_url.rstrip("/")
        self._default_workflow = default_workflow
        self._deadline = deadline
        self._transport = Transport(self._base_url)
        self._feed = Feed(self._base_url)
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Prompts that run go on."""
        await self._feed.close()
        await self._transport.close()

    async def generate_image(
        self,
        prompt: str,
        negative_prompt: str = "",
        width: int = 1024,
        height: int = 1024,
        steps: int = 32,
        cfg: float = 7.0,
        seed: int | None = None,
    ) -> bytes:
        """Return a PNG, made by the default workflow or else by SDXL's usual one with the only checkpoint.

        Args:
            prompt: what the image shows.
            negative_prompt: what it does not show.
            width: in pixels, a multiple of 8; SDXL likes those of 64.
            height: as the width.
            steps: of sampling.
            cfg: how closely to follow the prompt.
            seed: the same one draws the same image; None draws one.

        Raises:
            ValueError: a value is out of bounds, or has no place in the workflow.
            ComfyError: as from `run`. A prompt that is too slow is cancelled.
        """
        parameters = seeded(
            _PARAMETERS(
                prompt=prompt,
                negative_prompt=negative_prompt,
                width=width,
                height=height,
                steps=steps,
                cfg=cfg,
                seed=seed,
            )
        )
        prefix = f"fragua/{secrets.token_hex(16)}"
        if self._default_workflow:
            graph = fill(read_graph(self._default_workflow.read_text("utf-8")), parameters, prefix)
        else:
            graph = text_to_image(Models(checkpoint=await self._only_checkpoint()), parameters, prefix)
        prompt_id = str(uuid.uuid4())
        try:
            pictures = await self.run(graph, prompt_id=prompt_id)
        except TooSlow:
            await self.cancel(prompt_id)
            raise
        if not pictures:
            raise ComfyError("the default workflow saved no image: end it with a SaveImage")
        return pictures[0].data

    async def run(
        self,
        graph: Graph,
        *,
        prompt_id: str | None = None,
        on_event: Callable[[Event], object] | None = None,
        deadline: float | None = None,
    ) -> list[Picture]:
        """Run a graph and return what it saved, or what it showed if it saved nothing.

        It runs at most once. When this is cancelled or too slow, the prompt goes on.

        Args:
            graph: in API format. If it has run before, ComfyUI returns the old files: give it a new prefix.
            prompt_id: a new UUID in lower case, to know the prompt by; otherwise one is drawn.
            on_event: called with all that happens.
            deadline: seconds that it may take, waiting included; infinity is allowed.

        Raises:
            Rejected: ComfyUI will not run it, or not all of it.
            ExecutionFailed: a node failed.
            OutOfMemory: one failed for want of memory on the GPU.
            Interrupted: somebody stopped it.
            Gone: it was removed from the queue, or ComfyUI was restarted.
            TooSlow: the deadline passed.
            Unreachable: no answer. It may have been accepted: `resume` tells.
        """
        prompt_id = prompt_id or str(uuid.uuid4())
        async with self._within(deadline):
            feed = await self._live_feed()
            with feed.listen(prompt_id):
                await self._transport.submit(graph, prompt_id, feed.client_id)
                return await self._follow(prompt_id, feed, on_event)

    async def resume(
        self,
        prompt_id: str,
        *,
        on_event: Callable[[Event], object] | None = None,
        deadline: float | None = None,
    ) -> list[Picture]:
        """Return what a prompt saves that was submitted before, perhaps by another client.

        Arguments and errors are those of `run`. Of the events there is no progress and no preview.
        """
        async with self._within(deadline):
            feed = Feed(self._base_url)
            with feed.listen(prompt_id):
                return await self._follow(prompt_id, feed, on_event)

    def hears(self, prompt_id: str) -> bool:
        """Return whether the events of a prompt come: it is being run, and its websocket was not lost."""
        return self._feed.tells(prompt_id)

    async def queue(self) -> list[str]:
        """Return the IDs of all prompts that have not ended, in order; the first one runs."""
        running, pending = await self._transport.queue()
        return running + pending

    async def position(self, prompt_id: str) -> int | None:
        """Return how many prompts come before one, 0 for the one that runs; None if the queue has it not."""
        queue = await self.queue()
        return queue.index(prompt_id) if prompt_id in queue else None

    async def cancel(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, or stop it if it runs. One that has ended stays as it is."""
        await self._transport.drop(prompt_id)

    async def forget(self, prompt_id: str) -> None:
        """Remove a prompt that has ended from ComfyUI's history, where anyone can read it; files stay."""
        await self._transport.call("POST", "/history", json={"delete": [prompt_id]})

    async def upload_image(self, name: str, data: bytes) -> str:
        """Upload an input image and return the name that LoadImage knows it by.

        It is another than `name` if another image has that.

        Raises:
            Rejected: it is too large for the server.
        """
        answer = await self._transport.call(
            "POST", "/upload/image", accept=(413,), files={"image": (name, data)}
        )
        if answer.status_code == 413:
            raise Rejected((Problem("", "", "image", "413", f"{name} is too large for ComfyUI"),))
        found: dict[str, str] = answer.json()
        return f"{found['subfolder']}/{found['name']}".removeprefix("/")

    async def object_info(self) -> Table:
        """Return the server's node table, for `comfy.nodes.validate`."""
        table: Table = await self._transport.get("/object_info")
        return table

    async def system_stats(self) -> dict[str, Any]:
        """Return the server's versions and memory."""
        stats: dict[str, Any] = await self._transport.get("/system_stats")
        return stats

    async def free(self) -> None:
        """Have the models unloaded and all that is cached dropped, once no prompt runs."""
        await self._transport.call("POST", "/free", json={"unload_models": True, "free_memory": True})

    async def _only_checkpoint(self) -> str:
        names = await self._transport.get("/models/checkpoints")
        if len(names) != 1:
            there = ", ".join(names) or "none"
            raise ComfyError(f"which checkpoint? ComfyUI has {there}: give a default_workflow that names one")
        return str(names[0])

    async def _live_feed(self) -> Feed:
        async with self._opening:
            if not self._feed.live:
                await self._feed.close()
                self._feed = Feed(self._base_url)
                await self._feed.open()
            return self._feed

    @asynccontextmanager
    async def _within(self, deadline: float | None) -> AsyncIterator[None]:
        seconds = self._deadline if deadline is None else deadline
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                yield
        except TimeoutError:
            raise TooSlow(f"ComfyUI took longer than {seconds:g} s") from None

    async def _follow(
        self, prompt_id: str, feed: Feed, on_event: Callable[[Event], object] | None
    ) -> list[Picture]:
        """Wait for the end of a prompt that `feed` listens to, and fetch what it left."""
        event: Event | None = None
        place: Event | None = None
        silence = _FIRST_SILENCE_SECONDS
        while not isinstance(event, Finished):
            event = await feed.hear(prompt_id, silence)
            if event is None:
                event = await self._ask(prompt_id)
                if isinstance(event, Finished) and feed.live:  # the answer may have overtaken the events
                    event = await feed.hear(prompt_id, _GRACE_SECONDS) or event
            silence = _SILENCE_SECONDS if feed.live else _POLL_SECONDS
            if isinstance(event, Queued | Started):
                if event == place:
                    continue
                place = event
            if on_event is not None and not isinstance(event, Finished):
                on_event(event)
        entry = await self._transport.entry(prompt_id)
        if entry is None:
            raise Gone(f"ComfyUI has forgotten prompt {prompt_id}: run it again")
        if on_event is not None:
            on_event(finished(entry))
        return [await self._fetch(image) for image in saved_images(entry)]

    async def _ask(self, prompt_id: str) -> Event:
        """Return where a prompt is, without help from events."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                running, pending = await self._transport.queue()
                if prompt_id in running:
                    return Started()
                if prompt_id in pending:
                    return Queued(len(running) + pending.index(prompt_id))
                if await self._transport.entry(prompt_id):
                    return Finished()
            except Unreachable:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(_POLL_SECONDS)
            else:
                raise Gone(f"ComfyUI does not know prompt {prompt_id} (any more): run it again")

    async def _fetch(self, image: SavedImage) -> Picture:
        where = {"filename": image.filename, "subfolder": image.subfolder, "type": image.type}
        answer = await self._transport.call("GET", "/view", accept=(404,), params=where)
        if answer.status_code == 404:
            raise Gone(f"ComfyUI's file {image.subfolder}/{image.filename} was deleted: run it again")
        return Picture(image.node, image.filename, image.subfolder, answer.content)
