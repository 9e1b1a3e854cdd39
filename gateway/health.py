"""Whether ComfyUI can make an image: found out by making one, and watched from then on."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from comfy.errors import ComfyError
from comfy.events import Queued
from comfy.nodes import validate
from comfy.workflows import Limits, Workflow, seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from comfy.client import ComfyClient
    from comfy.events import Event

_POLL: Final = 1.0
_RETRY: Final = 5.0
_WARM_UP_SECONDS: Final = 600

log = logging.getLogger("gateway")


class Health:
    """Keeps watch over ComfyUI.

    Attributes:
        usable: set while an image can be made.
        reason: why none can be made, or None.
        ill: what is wrong with ComfyUI itself, or None.
    """

    def __init__(
        self,
        client: ComfyClient,
        workflows: Mapping[str, Workflow],
        limits: Limits,
        stall: float,
        timeout: float,
        pid_file: Path | None,
        restarted: Callable[[], None],
    ) -> None:
        self._client, self._workflows, self._limits = client, workflows, limits
        self._stall, self._patience = stall, timeout + stall
        self._pid_file, self._restarted = pid_file, restarted
        self.usable = asyncio.Event()
        self.reason: str | None = "starting"
        self.ill: str | None = None
        self._unusable = asyncio.Event()
        self._heard = time.monotonic()
        self._first = ""
        self._trial = ""

    def hear(self, event: Event | None = None) -> None:
        """Note that ComfyUI works, unless all it says is that something waits."""
        if not isinstance(event, Queued):
            self._heard = time.monotonic()

    def lost(self, reason: str) -> None:
        """Note that ComfyUI has to be tried again before it is used."""
        self.reason = reason
        self.usable.clear()
        self._unusable.set()

    async def prepare(self) -> None:
        """Make an image whenever ComfyUI has to be tried. Does not end."""
        while True:
            if self.ill:
                await asyncio.sleep(_POLL)
                continue
            try:
                self._unusable.clear()
                self.reason = await self._try()
            except ComfyError as error:
                self.reason = str(error)
            if self.reason:
                await asyncio.sleep(_RETRY)
            elif not self._unusable.is_set():
                self.usable.set()
                await self._unusable.wait()

    async def _try(self) -> str | None:
        """Return what is missing, once an image was made that needs nothing of it."""
        table = await self._client.object_info()
        missing = [
            f"{name}: {problem.message}"
            for name, each in self._workflows.items()
            for problem in self._problems(each, table)
        ]
        if missing:
            return f"ComfyUI does not have all that is needed: {'; '.join(dict.fromkeys(missing))}"
        first = next(iter(self._workflows.values()))
        side = -(-self._limits.min_side // self._limits.multiple) * self._limits.multiple
        parameters = first.parameters.model_validate(
            {"prompt": "", "width": side, "height": side, "steps": 1, "seed": 0}
        )
        graph = first.build(parameters, f"fragua/{secrets.token_hex(16)}")
        self._trial = str(uuid.uuid4())
        await self._client.run(graph, prompt_id=self._trial, on_event=self.hear, deadline=_WARM_UP_SECONDS)
        return None

    def _problems(self, workflow: Workflow, table: Mapping[str, Any]) -> list[Any]:
        """Return what ComfyUI's own table says against a workflow, were it asked for as simply as can be."""
        texts = {"prompt": "a grey square"} if "prompt" in workflow.parameters.model_fields else {}
        sample = {**texts, **dict.fromkeys(workflow.images, "sample.png")}
        try:
            graph = workflow.build(seeded(workflow.parameters.model_validate(sample)), "sample")
        except ValidationError:  # it wants what cannot be guessed
            return []
        return [each for each in validate(graph, table) if each.class_type != "LoadImage"]

    async def guard(self) -> None:
        """End a ComfyUI that has work and does nothing; notice one that is gone. Does not end itself."""
        while True:
            try:
                queue = await self._client.queue()
            except ComfyError as error:
                self.ill = str(error)
                self.lost(self.ill)
                self.hear()
            else:
                first = next(iter(queue), "")
                if not first or first != self._first:
                    self.hear()
                self._first = first
                silent = time.monotonic() - self._heard
                self.ill = None
                if silent > self._allowed(first):
                    self.ill = (
                        f"ComfyUI's worker is dead: it has work, and nothing has happened for {silent:.0f} s"
                    )
                    self.lost(self.ill)
                    self._end()
            await asyncio.sleep(_POLL)

    def _allowed(self, first: str) -> float:
        """Return the seconds that ComfyUI may be silent.

        Of what runs, an image that the gateway follows is never silent for long. All else may be: the first
        image, which loads the models, and whatever tells its events to others, as to ComfyUI's own page.
        """
        return self._stall if first != self._trial and self._client.hears(first) else self._patience

    def _end(self) -> None:
        """End ComfyUI, which its supervisor starts again."""
        if self._pid_file is None:
            return
        with suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            if pid > 1:
                os.kill(pid, signal.SIGTERM)
                log.warning("%s; ended process %d", self.ill, pid)
                self._restarted()
                self.hear()
