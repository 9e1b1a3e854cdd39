"""The HTTP API: each route as it is, and once more under `/api`."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from models import safetensors
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from programs.comfyui import system, uploads, views
from programs.comfyui.validation import validate

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from programs.comfyui.execution import Worker
    from programs.comfyui.waiting import PromptQueue


class Json(JSONResponse):
    """JSON with the content type of the real server."""

    media_type = "application/json; charset=utf-8"


class Api:
    """The answers of one server."""

    def __init__(self, worker: Worker, queue: PromptQueue, logs: list[str]) -> None:
        """Answer for what the worker and the queue do."""
        self._worker, self._queue, self._logs = worker, queue, logs
        self._folders, self._table, self._sockets = worker.folders, worker.table, worker.sockets
        self._limit = round(worker.args.max_upload_size * 1024**2)
        self._number = 0

    def routes(self) -> list[BaseRoute]:
        """Return all routes."""
        table: list[tuple[str, str, Any]] = [
            ("GET", "/", self.page),
            ("GET", "/prompt", self.remaining),
            ("POST", "/prompt", self.prompt),
            ("GET", "/queue", self.queue),
            ("POST", "/queue", self.change_queue),
            ("GET", "/history", self.history),
            ("POST", "/history", self.change_history),
            ("GET", "/history/{prompt_id}", self.entry),
            ("POST", "/interrupt", self.interrupt),
            ("POST", "/free", self.free),
            ("GET", "/view", self.view),
            ("GET", "/view_metadata/{kind}", self.view_metadata),
            ("POST", "/upload/image", self.upload_image),
            ("POST", "/upload/mask", self.upload_mask),
            ("GET", "/object_info", self.object_info),
            ("GET", "/object_info/{name}", self.object_info),
            ("GET", "/models", self.models),
            ("GET", "/models/{kind}", self.models_of),
            ("GET", "/embeddings", self.embeddings),
            ("GET", "/system_stats", self.system_stats),
            ("GET", "/features", self.features),
            ("GET", "/extensions", _empty_list),
            ("GET", "/users", self.users),
            ("GET", "/settings", _empty_object),
            ("GET", "/i18n", _empty_object),
            ("GET", "/workflow_templates", _empty_object),
            ("GET", "/experiment/models", self.folder_list),
        ]
        routes: list[BaseRoute] = [
            Route(prefix + path, endpoint, methods=[method])
            for prefix in ("", "/api")
            for method, path, endpoint in table
        ]
        routes += [WebSocketRoute(path, self._sockets.serve) for path in ("/ws", "/api/ws")]
        routes += [
            Route("/internal/logs", self.logs),
            Route("/internal/folder_paths", self.folder_paths),
            Route("/internal/files/{kind}", self.files),
        ]
        return routes

    async def page(self, _: Request) -> Response:
        """Stand for the graphical interface."""
        return Response("<!doctype html><title>ComfyUI</title>", media_type="text/html")

    async def remaining(self, _: Request) -> Response:
        """Tell how many prompts wait or run."""
        return Json({"exec_info": {"queue_remaining": self._queue.remaining()}})

    async def prompt(self, request: Request) -> Response:
        """Accept a prompt, or say why not."""
        body = await self._json(request)
        if "number" in body:
            number = float(body["number"])
        else:
            number = self._number
            if "front" in body and body["front"]:  # noqa: RUF019 - a list has no `get`
                number = -number
            self._number += 1
        if "prompt" not in body:
            error = {"type": "no_prompt", "message": "No prompt provided",
                     "details": "No prompt provided", "extra_info": {}}  # fmt: skip
            return Json({"error": error, "node_errors": {}}, 400)
        prompt_id = str(body.get("prompt_id", uuid.uuid4()))
        graph = body["prompt"]
        verdict = validate(graph, self._table, self._folders, body.get("partial_execution_targets"))
        if verdict.error:
            self._worker.log(f"invalid prompt: {verdict.error}")
            return Json({"error": verdict.error, "node_errors": verdict.node_errors}, 400)
        extra = body.get("extra_data", {})
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        self._worker.log("got prompt")
        self._queue.put((number, prompt_id, graph, extra, verdict.outputs))
        return Json({"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})

    async def queue(self, _: Request) -> Response:
        """Show what runs and what waits."""
        running, pending = self._queue.current()
        return Json({"queue_running": running, "queue_pending": pending})

    async def change_queue(self, request: Request) -> Response:
        """Take waiting prompts out."""
        body = await self._json(request)
        if body.get("clear"):
            self._queue.delete(lambda _: True)
        wanted = set(body.get("delete", []))
        self._queue.delete(lambda item: item[1] in wanted)
        return Response()

    async def history(self, request: Request) -> Response:
        """Show the prompts that ended."""
        entries = list(self._queue.history().items())
        count = int(request.query_params["max_items"]) if "max_items" in request.query_params else None
        offset = int(request.query_params["offset"]) if "offset" in request.query_params else -1
        if count is not None:
            start = max(0, len(entries) - count) if offset < 0 else offset
            entries = entries[start : start + count]
        return Json(dict(entries))

    async def change_history(self, request: Request) -> Response:
        """Forget prompts that ended."""
        body = await self._json(request)
        if body.get("clear"):
            self._queue.forget()
        for prompt_id in body.get("delete", []):
            self._queue.forget(prompt_id)
        return Response()

    async def entry(self, request: Request) -> Response:
        """Show one prompt that ended, or nothing."""
        prompt_id = request.path_params["prompt_id"]
        entry = self._queue.history().get(prompt_id)
        return Json({} if entry is None else {prompt_id: entry})

    async def interrupt(self, request: Request) -> Response:
        """End the prompt that runs, if it is the one that is meant."""
        body = await self._body(request)
        meant = (json.loads(body) if body else {}).get("prompt_id")
        if meant is None or meant == self._worker.current:
            self._worker.interrupt.set()
        return Response()

    async def free(self, request: Request) -> Response:
        """Let the worker forget models and results."""
        body = await self._json(request)
        self._queue.set_flags({key: bool(body.get(key)) for key in ("unload_models", "free_memory")})
        return Response()

    async def view(self, request: Request) -> Response:
        """Send an image."""
        return views.view(request.query_params, self._folders)

    async def view_metadata(self, request: Request) -> Response:
        """Send what a model file says of itself."""
        name = request.query_params.get("filename", "")
        path = self._folders.find(request.path_params["kind"], name)
        if path is None or path.suffix != ".safetensors":
            return Response(status_code=404)
        try:
            found = safetensors.read_header(path).get("__metadata__")
        except safetensors.SafetensorError:
            found = None
        return Json(found) if found else Response(status_code=404)

    async def upload_image(self, request: Request) -> Response:
        """Store an image."""
        return await self._upload(request, mask=False)

    async def upload_mask(self, request: Request) -> Response:
        """Store an image with a mask's transparency."""
        return await self._upload(request, mask=True)

    async def object_info(self, request: Request) -> Response:
        """Describe the node classes, or one."""
        name = request.path_params.get("name")
        if name is None:
            return Json(self._table.all())
        return Json({name: self._table.record(name)} if name in self._table else {})

    async def models(self, _: Request) -> Response:
        """List the kinds of models."""
        return Json(list(self._folders.models))

    async def models_of(self, request: Request) -> Response:
        """List the models of a kind."""
        kind = request.path_params["kind"]
        if kind not in self._folders.models:
            return Response(status_code=404)
        return Json(self._folders.names(kind))

    async def embeddings(self, _: Request) -> Response:
        """List the embeddings."""
        return Json([name.rpartition(".")[0] for name in self._folders.names("embeddings")])

    async def system_stats(self, _: Request) -> Response:
        """Tell what it runs on."""
        return Json(system.stats(self._worker.args))

    async def features(self, _: Request) -> Response:
        """Tell what it can do."""
        return Json(self._sockets.features)

    async def users(self, _: Request) -> Response:
        """Tell that there is one user."""
        return Json({"storage": "server", "migrated": True})

    async def folder_list(self, _: Request) -> Response:
        """List the folders of models, with where they are."""
        paths = self._folders.models.items()
        return Json([{"name": kind, "folders": [str(path) for path in found]} for kind, found in paths])

    async def folder_paths(self, _: Request) -> Response:
        """List where models are looked for."""
        found = self._folders.models.items()
        return Json({kind: [str(path) for path in paths] for kind, paths in found})

    async def logs(self, _: Request) -> Response:
        """Send the log."""
        return Json("\n".join(self._logs))

    async def files(self, request: Request) -> Response:
        """List the files of a folder of images, newest first."""
        folder = self._folders.image(request.path_params["kind"])
        if folder is None:
            return Json({"error": "Invalid directory type"}, 400)
        found = sorted(
            (path for path in folder.iterdir() if path.is_file()), key=lambda path: -path.stat().st_mtime
        )
        return Json([path.name for path in found])

    async def _upload(self, request: Request, *, mask: bool) -> Response:
        form = uploads.parts(request.headers.get("content-type", ""), await self._body(request))
        stored = uploads.store(form, self._folders, mask=mask)
        return Json(stored) if stored else Response(status_code=400)

    async def _json(self, request: Request) -> Any:
        return json.loads(await self._body(request))

    async def _body(self, request: Request) -> bytes:
        content = bytearray()
        async for piece in request.stream():
            content += piece
            if len(content) > self._limit:
                raise HTTPException(413, f"Maximum request body size {self._limit} exceeded.")
        return bytes(content)


async def _empty_list(_: Request) -> Response:
    return Json([])


async def _empty_object(_: Request) -> Response:
    return Json({})
