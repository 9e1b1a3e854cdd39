"""The HTTP API."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import ClientDisconnect

from gateway.enhance import enhance as enhanced
from gateway.errors import (
    OF_JOBS,
    ErrorBody,
    IdempotencyConflict,
    InvalidParameter,
    NoSuchImage,
    NoSuchJob,
    NoSuchWorkflow,
    NotReady,
    UnsupportedMediaType,
)
from gateway.images import FORMATS
from gateway.jobs import ENDED, Job
from gateway.parts import Parts
from gateway.requests import Order, accepted, read_body, read_order, request_schema
from gateway.shapes import JobList, JobShape, Status, Upload, Who, WorkflowList, WorkflowShape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from comfy.workflows import Workflow

_PING_SECONDS: Final = 15
_RETRY_SECONDS: Final = 5
_BINARY: Final = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS}
_KEY_LENGTH: Final = 255


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


async def _owner(
    parts: Annotated[Parts, Depends(_parts)],
    request: Request,
    _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
) -> str:
    return parts.tokens.name(request.headers.get("authorization"))


async def _spender(parts: Annotated[Parts, Depends(_parts)], owner: Annotated[str, Depends(_owner)]) -> str:
    parts.tokens.spend(owner)
    return owner


Of = Annotated[Parts, Depends(_parts)]
Owner = Annotated[str, Depends(_owner)]
Spender = Annotated[str, Depends(_spender)]
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="the same key and body: the same job")
]
Accept = Annotated[str | None, Header(include_in_schema=False)]


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody} for status in statuses}


_routes = APIRouter()


def router(workflows: Mapping[str, Workflow], *, enhance: bool) -> APIRouter:
    """Return the routes, for these workflows; `enhance` is whether prompts can be written out."""
    schema = request_schema(workflows, enhance=enhance)
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
    image: dict[int | str, dict[str, Any]] = {
        200: {"content": {**_BINARY, "application/json": {}}, "model": JobShape}
    }
    found = APIRouter()
    ordering = (400, 401, 404, 408, 409, 413, 422, 429, 502, 503)
    found.post("/generate", openapi_extra=body, responses={**image, **_errors(*ordering, 410, 504, 507)})(
        generate
    )
    found.post("/jobs", status_code=202, openapi_extra=body, responses=_errors(*ordering))(submit)
    found.include_router(_routes)
    return found


async def generate(
    request: Request, parts: Of, owner: Spender, idempotency_key: Key = None, accept: Accept = None
) -> Response:
    """Make an image and answer with it, as `Accept` says; with `application/json`, with the job."""
    job = await _submit(request, parts, owner, idempotency_key)
    if not job.ended and not await _over(request, job):
        if job.key is None:
            await parts.worker.cancel(job)
        raise ClientDisconnect
    if job.error:
        raise OF_JOBS[job.error.type](job.error.message)
    kind = accepted(accept, [*FORMATS, "application/json"])
    if kind == "application/json":
        return JSONResponse(job.shape().model_dump(mode="json"))
    first = job.images[0]
    headers = {"X-Job": job.id, "X-Seed": first.seed, "X-Cost": job.cost and f"{job.cost:.6f}"}
    found = parts.store.image(owner, first.url.rpartition("/")[2])
    if found is None:
        raise NoSuchImage("the image was removed")
    data = await parts.images.read(found, kind)
    return Response(
        data,
        headers={name: str(value) for name, value in headers.items() if value is not None},
        media_type=kind,
    )


async def submit(
    request: Request, response: Response, parts: Of, owner: Spender, idempotency_key: Key = None
) -> JobShape:
    """Accept a job; follow it at the URL in `Location`."""
    job = await _submit(request, parts, owner, idempotency_key)
    response.headers["Location"] = f"/jobs/{job.id}"
    return job.shape()


@_routes.get("/jobs", responses=_errors(401))
async def jobs(parts: Of, owner: Owner) -> JobList:
    """Return this token's newest jobs, the newest first."""
    return JobList(jobs=[parts.worker.jobs.get(job.id, job).shape() for job in parts.store.newest(owner)])


@_routes.get("/jobs/{id}", responses=_errors(401, 404))
async def job(parts: Of, owner: Owner, id: str) -> JobShape:  # noqa: A002 - the API's word
    """Return a job."""
    return _job(parts, owner, id).shape()


@_routes.get(
    "/jobs/{id}/events",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **_errors(401, 404),
    },
)
async def events(parts: Of, owner: Owner, id: str) -> StreamingResponse:  # noqa: A002 - the API's word
    """Follow a job by server-sent events: its state first and whenever it changes, progress and previews."""
    found = _job(parts, owner, id)
    return StreamingResponse(
        _events(found), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


@_routes.delete("/jobs/{id}", responses=_errors(401, 404))
async def cancel(parts: Of, owner: Owner, id: str) -> JobShape:  # noqa: A002 - the API's word
    """Cancel a job that has not ended."""
    found = _job(parts, owner, id)
    await parts.worker.cancel(found)
    return found.shape()


@_routes.get(
    "/images/{id}",
    response_class=Response,
    responses={200: {"content": _BINARY}, **_errors(401, 404, 410, 422)},
)
async def image(
    parts: Of,
    owner: Owner,
    id: str,  # noqa: A002 - the API's word
    download: Annotated[str | None, Query(description="any value: to be saved, not shown")] = None,
    accept: Accept = None,
) -> Response:
    """Return an image, as `Accept` says."""
    if (found := parts.store.image(owner, id)) is None:
        raise NoSuchImage("there is no such image of yours")
    kind = accepted(accept, list(FORMATS))
    headers = {"Cache-Control": "private, max-age=3600", "Vary": "Accept, Authorization"}
    if download is not None:
        name = f"{found.id}.{FORMATS[kind].lower()}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Response(await parts.images.read(found, kind), headers=headers, media_type=kind)


@_routes.post(
    "/uploads",
    status_code=201,
    openapi_extra={"requestBody": {"required": True, "content": _BINARY}},
    responses=_errors(401, 408, 413, 415, 422, 429),
)
async def upload(request: Request, parts: Of, owner: Spender) -> Upload:
    """Keep the image in the body, to be used as a parameter such as `image`."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("image/"):
        raise UnsupportedMediaType(f"send the image itself, with Content-Type {' or '.join(FORMATS)}")
    found = await parts.images.upload(owner, await read_body(request, _body_limit(parts)))
    return Upload(image=found.id, width=found.width, height=found.height)


@_routes.get("/workflows", responses=_errors(401))
async def workflow_list(parts: Of, _owner: Owner) -> WorkflowList:
    """Return all workflows with their parameters."""
    return WorkflowList(workflows=[_workflow(each) for each in parts.workflows.values()])


@_routes.get("/workflows/{name}", responses=_errors(401, 404))
async def workflow(parts: Of, _owner: Owner, name: str) -> WorkflowShape:
    """Return a workflow with its parameters."""
    if name not in parts.workflows:
        raise NoSuchWorkflow(f"there is no workflow of that name: there is {', '.join(parts.workflows)}")
    return _workflow(parts.workflows[name])


@_routes.get("/whoami", responses=_errors(401))
async def whoami(parts: Of, owner: Owner) -> Who:
    """Return whose token it is, and what it may."""
    return Who(
        token=owner,
        price=parts.settings.price,
        limits=parts.offer.limits,
        enhance=parts.settings.openai_api_key is not None,
    )


@_routes.get("/health", responses=_errors(503))
async def health(parts: Of) -> Status:
    """Tell whether the gateway and ComfyUI are alive."""
    if parts.health.ill:
        raise NotReady(parts.health.ill, retry_after=_RETRY_SECONDS)
    return _status(parts)


@_routes.get("/ready", responses=_errors(503))
async def ready(parts: Of) -> Status:
    """Tell whether an image can be made: one was made since ComfyUI started."""
    if parts.health.reason:
        raise NotReady(parts.health.reason, retry_after=_RETRY_SECONDS)
    return _status(parts)


@_routes.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_errors(401)},
)
async def metrics(parts: Of, _owner: Owner) -> Response:
    """Return what Prometheus is to know."""
    found, status = parts.metrics, _status(parts)
    found.waiting.set(status.waiting)
    found.running.set(status.running)
    found.ready.set(parts.health.reason is None)
    found.stored.set(parts.store.size())
    return Response(found.text(), media_type="text/plain; version=0.0.4")


async def _submit(request: Request, parts: Parts, owner: str, key: str | None) -> Job:
    """Accept the job that a request asks for, or find the one that it asked for before."""
    order = await read_order(request, parts.workflows, _body_limit(parts))
    if key is not None:
        if not 0 < len(key) <= _KEY_LENGTH:
            raise InvalidParameter(f"must have 1 to {_KEY_LENGTH} characters", field="Idempotency-Key")
        if known := parts.worker.known(owner, key):
            return _same(known, order)
    parameters = order.parameters
    for name in order.workflow.images:
        image = parts.store.image(owner, getattr(parameters, name))
        if image is None or not image.there:
            raise InvalidParameter("there is no such image of yours: POST it to /uploads first", field=name)
    if parts.health.reason:
        raise NotReady(parts.health.reason, retry_after=_RETRY_SECONDS)
    if order.enhance:
        settings = parts.settings
        if settings.openai_api_key is None or "prompt" not in type(parameters).model_fields:
            raise InvalidParameter(
                "this gateway or workflow does not write prompts out: leave it out", field="enhance"
            )
        prompt = await enhanced(parameters.prompt, settings.openai_api_key, settings.openai_base_url)  # type: ignore[attr-defined]
        parameters = parameters.model_copy(update={"prompt": prompt})
    job = Job(
        id=f"{parts.settings.name}-{uuid.uuid4()}",
        owner=owner,
        workflow=order.workflow.name,
        parameters=parameters.model_dump(mode="json"),
        created=time.time(),
        key=key,
        fingerprint=order.fingerprint,
    )
    return _same(parts.worker.submit(job), order)


def _same(job: Job, order: Order) -> Job:
    if job.fingerprint != order.fingerprint:
        raise IdempotencyConflict("this Idempotency-Key came with another body before: use a new key")
    return job


def _body_limit(parts: Parts) -> int:
    return int(parts.settings.body_mb * 1e6)


def _job(parts: Parts, owner: str, id_: str) -> Job:
    job = parts.worker.find(owner, id_)
    if job is None:
        raise NoSuchJob("there is no such job of yours")
    return job


def _workflow(workflow: Workflow) -> WorkflowShape:
    schema = workflow.parameters.model_json_schema()
    return WorkflowShape(name=workflow.name, description=workflow.description, schema=schema)


def _status(parts: Parts) -> Status:
    waiting = parts.worker.waiting
    return Status(status="ok", waiting=waiting, running=len(parts.worker.jobs) - waiting)


async def _over(request: Request, job: Job) -> bool:
    """Wait until the job has ended; return False if the client went away before."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = asyncio.create_task(gone()), asyncio.create_task(job.over.wait())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return job.ended
    finally:
        for task in tasks:
            task.cancel()


async def _events(job: Job) -> AsyncIterator[str]:
    with job.follow() as follower:
        while True:
            try:
                kind, data = await asyncio.wait_for(follower.pull(), _PING_SECONDS)
            except TimeoutError:
                yield ": ping\n\n"
                continue
            yield f"event: {kind}\ndata: {data}\n\n"
            if kind in ENDED:
                return
