"""Brings the jobs to ComfyUI, in order, two at a time so that it never idles, and to an end in any case."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import sqlite3
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from comfy.errors import (
    ComfyError,
    ExecutionFailed,
    Gone,
    Interrupted,
    OutOfMemory,
    Rejected,
    TooSlow,
    Unreachable,
)
from comfy.events import Event, Finished, Preview, Progress, Queued
from gateway.errors import (
    ApiError,
    Cancelled,
    ComfyuiFailed,
    ErrorDetail,
    Expired,
    GpuMemory,
    QueueFull,
    TimedOut,
)
from gateway.images import Images, is_png
from gateway.shapes import Progress as Shown
from gateway.store import Image, Store, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comfy.client import ComfyClient, Picture
    from comfy.workflows import Workflow
    from gateway.health import Health
    from gateway.jobs import Job
    from gateway.metrics import Metrics
    from gateway.settings import Settings

_AT_ONCE: Final = 2
_ATTEMPTS: Final = 2
_SILENCES: Final = 5
_PAUSE: Final = 0.5

log = logging.getLogger("gateway")


class Worker:
    """The queue of one ComfyUI.

    Attributes:
        jobs: those that have not ended, in order, by id.
    """

    def __init__(
        self,
        settings: Settings,
        client: ComfyClient,
        workflows: Mapping[str, Workflow],
        store: Store,
        images: Images,
        health: Health,
        metrics: Metrics,
    ) -> None:
        self._settings, self._client, self._workflows = settings, client, workflows
        self._store, self._images, self._health, self._metrics = store, images, health, metrics
        self.jobs: dict[str, Job] = {}
        self._queue: asyncio.Queue[Job] = asyncio.Queue()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group = asyncio.TaskGroup()
        self._broken = asyncio.Event()
        self._usual = 10.0  # seconds of a job, a moving average
        self._ran = next(
            iter(workflows)
        )  # the workflow that ran last: at first, the image that made ComfyUI usable
        self._longest = settings.timeout * _AT_ONCE  # for one job, with those that ComfyUI has before it
        for job in store.unfinished():
            self._take(job)
        self._place()

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return sum(job.state == "queued" for job in self.jobs.values())

    def submit(self, job: Job) -> Job:
        """Accept a job, or return the one that its owner's key stands for already.

        Raises:
            QueueFull: too many wait.
        """
        if self.waiting >= self._settings.queue:
            wait = math.ceil(self._usual)
            raise QueueFull(
                f"{self.waiting} jobs wait, as many as may: try again in {wait} s", retry_after=wait
            )
        if not self._store.add(job):
            return self.known(job.owner, str(job.key)) or job
        self._take(job)
        self._place()
        return job

    def known(self, owner: str, key: str) -> Job | None:
        """Return the owner's job of that idempotency key."""
        job = self._store.of_key(owner, key)
        return job and self.jobs.get(job.id, job)

    def find(self, owner: str, id_: str) -> Job | None:
        """Return the owner's job of that id."""
        job = self.jobs.get(id_)
        return job if job and job.owner == owner else self._store.job(owner, id_)

    async def cancel(self, job: Job) -> None:
        """End a job, unless it has ended, and take it out of ComfyUI."""
        if job.ended:
            return
        if task := self._tasks.get(job.id):
            task.cancel()
            await asyncio.wait([task])
        self._end(job, Cancelled("the job was cancelled"))
        await self._drop(job)
        self._leave(job)

    async def run(self) -> None:
        """Serve the jobs. Does not end.

        Raises:
            OSError: what became of a job cannot be kept.
        """
        async with self._group:
            for _ in range(_AT_ONCE):
                self._group.create_task(self._serve_all())
            await self._broken.wait()
            raise OSError("the queue's file cannot be written")

    def _take(self, job: Job) -> None:
        self.jobs[job.id] = job
        self._queue.put_nowait(job)

    async def _serve_all(self) -> None:
        while True:
            job = await self._queue.get()
            if job.ended:
                continue
            task = self._tasks[job.id] = asyncio.create_task(self._serve(job))
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()
                del self._tasks[job.id]

    async def _serve(self, job: Job) -> None:
        try:
            async with asyncio.timeout(self._longest) as limit:
                pictures = await self._pictures(job, limit)
                seed = job.parameters.get("seed")
                kept = [
                    await self._images.keep(job.owner, job.id, each.data, seed)
                    for each in pictures
                    if is_png(each.data)
                ]
            self._end(job, None if kept else ComfyuiFailed("the workflow saved no PNG"), tuple(kept))
        except (TimeoutError, TooSlow):
            self._end(job, TimedOut(f"the job took longer than {self._settings.timeout:g} s"))
            await self._drop(job)
        except ApiError as error:
            self._end(job, error)
        except ComfyError as error:
            self._end(job, _told(error))
        except Exception:
            log.exception("job %s", job.id)
            self._end(job, ComfyuiFailed("the gateway failed; its log says how"))
        self._leave(job)

    async def _pictures(self, job: Job, limit: asyncio.Timeout) -> list[Picture]:
        """Return what ComfyUI makes of a job, however often it has to be asked."""

        def hear(event: Event) -> None:
            self._hear(job, event, limit)

        silences = 0
        while True:
            await self._health.usable.wait()
            try:
                if job.prompt_id:
                    return await self._client.resume(job.prompt_id, on_event=hear, deadline=self._longest)
                job.prompt_id = str(uuid.uuid4())
                graph = await self._graph(job)
                self._store.save(job)
                return await self._client.run(
                    graph, prompt_id=job.prompt_id, on_event=hear, deadline=self._longest
                )
            except Unreachable as error:
                # it may be this job, not ComfyUI
                silences += 1
                if silences == _SILENCES:
                    raise
                self._health.lost(str(error))
            except Gone:
                job.attempts += job.state == "running"
                if job.attempts >= _ATTEMPTS:
                    raise ComfyuiFailed(f"ComfyUI ended {job.attempts} times while it made this") from None
                self._again(job)
                limit.reschedule(asyncio.get_running_loop().time() + self._longest)
                await asyncio.sleep(_PAUSE)
            except OutOfMemory:
                # with what ran before unloaded, it may fit
                if job.tried_memory or self._ran == job.workflow:
                    raise
                await self._client.free()
                job.tried_memory = True
                self._again(job)
            finally:
                self._ran = job.workflow

    async def _graph(self, job: Job) -> dict[str, dict[str, object]]:
        workflow = self._workflows.get(job.workflow)
        if workflow is None:
            raise ComfyuiFailed(f"there is no workflow {job.workflow} any more")
        parameters = workflow.parameters.model_validate(job.parameters)
        files = {}
        for name in workflow.images:
            image = self._store.image(job.owner, getattr(parameters, name))
            if image is None:
                raise Expired("the input image was removed", field=name)
            data = await self._images.read(image, "image/png")
            files[name] = await self._client.upload_image(f"{job.prompt_id}-{name}.png", data)
        return workflow.build(parameters.model_copy(update=files), f"fragua/{job.prompt_id}")

    def _hear(self, job: Job, event: Event, limit: asyncio.Timeout) -> None:
        self._health.hear(event)
        if not isinstance(event, Queued | Finished) and job.state == "queued":
            job.state, job.started, job.position = "running", time.time(), None
            limit.reschedule(asyncio.get_running_loop().time() + self._settings.timeout)
            self._store.save(job)
            job.tell()
            self._place()
        match event:
            case Progress(node=node, value=value, max=most):
                job.progress = Shown(value=value, max=most)
                job.publish("progress", json.dumps({"value": value, "max": most, "node": node}))
            case Preview(data=data, format=form) if job.followed:
                text = base64.b64encode(data).decode()
                job.publish("preview", json.dumps({"mime": f"image/{form}", "data": text}))
            case Finished(started=started, seconds=seconds):
                job.started = job.started or started
                job.seconds = seconds
            case _:
                pass

    def _again(self, job: Job) -> None:
        self._leave(job)
        job.state, job.started, job.progress, job.prompt_id = "queued", None, None, None
        self._store.save(job)
        self._place()
        job.tell()

    def _end(self, job: Job, error: ApiError | None, images: tuple[Image, ...] = ()) -> None:
        job.state = "done" if error is None else "cancelled" if isinstance(error, Cancelled) else "failed"
        job.finished = time.time()
        job.position = job.progress = None
        if job.started and job.seconds is None:
            job.seconds = job.finished - job.started
        if self._settings.price is not None and job.seconds is not None:
            job.cost = self._settings.price / 3600 * job.seconds
            self._metrics.cost.inc(job.cost)
        if error:
            job.error = ErrorDetail.model_validate(error.body()["error"])
        elif job.seconds is not None:
            self._usual += (job.seconds - self._usual) / 4
            self._metrics.seconds.labels(job.workflow).observe(job.seconds)
        job.images = [shown(image) for image in images]
        try:
            self._store.save(job, images)
        except sqlite3.Error:
            log.exception("job %s", job.id)
            job.state, job.images = "failed", []
            broken = ComfyuiFailed("the gateway's disk fails; once it is started again, the job goes on")
            job.error = ErrorDetail.model_validate(broken.body()["error"])
            self._broken.set()
        self._metrics.jobs.labels(job.workflow, job.state).inc()
        self.jobs.pop(job.id, None)
        job.over.set()
        job.tell()
        self._place()

    def _place(self) -> None:
        """Give each job that waits its place, and tell those that moved."""
        for position, job in enumerate(self.jobs.values()):
            if job.state == "queued" and job.position != position:
                job.position = position
                job.tell()

    async def _drop(self, job: Job) -> None:
        if job.prompt_id and not self._broken.is_set():
            with suppress(ComfyError):
                await self._client.cancel(job.prompt_id)

    def _leave(self, job: Job) -> None:
        """See to it that nothing of a job's prompt stays in ComfyUI; the job goes on meanwhile."""
        if job.prompt_id and not self._broken.is_set():  # what is not kept is asked for again
            self._group.create_task(self._tidy(job.prompt_id))

    async def _tidy(self, prompt_id: str) -> None:
        with suppress(ComfyError):
            # ComfyUI misses an interruption that comes while it starts the prompt
            while await self._client.position(prompt_id) is not None:
                await self._client.cancel(prompt_id)
                await asyncio.sleep(_PAUSE)
            await self._client.forget(prompt_id)
        if folder := self._settings.comfyui_folder:
            for place in (folder / "input", folder / "output/fragua"):
                for path in place.glob(f"{prompt_id}[-_]*"):
                    with suppress(OSError):
                        path.unlink()


def _told(error: ComfyError) -> ApiError:
    """Return what the API says of ComfyUI's error."""
    match error:
        case OutOfMemory():
            return GpuMemory("the GPU's memory does not hold this: ask for a smaller size or batch")
        case ExecutionFailed(class_type=kind, exception_type=what, message=message):
            return ComfyuiFailed(
                f"{kind} failed with {what}: {(message.strip().splitlines() or [''])[0][:300]}"
            )
        case Rejected(problems=problems):
            return ComfyuiFailed(
                f"ComfyUI refused it: {'; '.join(f'{each.class_type}: {each.message}' for each in problems)}"
            )
        case Interrupted():
            return ComfyuiFailed("somebody interrupted it in ComfyUI")
        case _:
            return ComfyuiFailed(str(error))
