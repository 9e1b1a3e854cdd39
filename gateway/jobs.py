"""One job: an accepted request, from its place in the queue to its images."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from gateway.shapes import JobImage, JobShape, Progress, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.errors import ErrorDetail

ENDED: Final = ("done", "failed", "cancelled")


class Follower:
    """Hears what is told of a job. Nobody waits for one: who is slow hears the newest of each kind only."""

    def __init__(self) -> None:
        self._pending: dict[str, str] = {}
        self._news = asyncio.Event()

    def push(self, kind: str, data: str) -> None:
        """Tell it; an older one of that kind that was not heard yet is dropped."""
        self._pending.pop(kind, None)
        self._pending[kind] = data
        self._news.set()

    async def pull(self) -> tuple[str, str]:
        """Return the oldest that was not heard yet, kind and data, once there is one."""
        while not self._pending:
            self._news.clear()
            await self._news.wait()
        kind = next(iter(self._pending))
        return kind, self._pending.pop(kind)


@dataclass
class Job:
    """A job.

    Attributes:
        owner: the name of the token that asked.
        key: its idempotency key.
        fingerprint: identifies the body that it came with.
        prompt_id: under which ComfyUI has it, or had.
        attempts: how often ComfyUI began with it.
        tried_memory: whether it was tried again because the GPU's memory was full.
        over: set once it has ended.
    """

    id: str
    owner: str
    workflow: str
    parameters: dict[str, Any]
    created: float
    key: str | None = None
    fingerprint: str = ""
    state: State = "queued"
    started: float | None = None
    finished: float | None = None
    seconds: float | None = None
    cost: float | None = None
    prompt_id: str | None = None
    attempts: int = 0
    error: ErrorDetail | None = None
    images: list[JobImage] = field(default_factory=list)
    position: int | None = None
    progress: Progress | None = None
    tried_memory: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _followers: set[Follower] = field(default_factory=set)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    def shape(self) -> JobShape:
        """Return what the API shows."""
        return JobShape.model_validate({name: getattr(self, name) for name in JobShape.model_fields})

    def tell(self) -> None:
        """Tell all who follow the job how it is."""
        if self._followers:
            self.publish(self.state, self.shape().model_dump_json())

    def publish(self, kind: str, data: str) -> None:
        """Tell all who follow the job something else."""
        for follower in self._followers:
            follower.push(kind, data)

    @property
    def followed(self) -> bool:
        """Whether anyone follows it."""
        return bool(self._followers)

    @contextmanager
    def follow(self) -> Iterator[Follower]:
        """Give a follower, who is told first how the job is."""
        follower = Follower()
        follower.push(self.state, self.shape().model_dump_json())
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)
