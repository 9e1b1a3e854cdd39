"""The application: what it is made of, what starts and ends with it, and its pages."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from comfy.client import ComfyClient
from comfy.workflows import catalogue
from gateway.auth import Tokens
from gateway.errors import ApiError, ErrorBody, ErrorDetail
from gateway.health import Health
from gateway.images import Images
from gateway.limits import Headers
from gateway.metrics import Metrics
from gateway.parts import Parts
from gateway.routes import router
from gateway.settings import Catalogue, Settings
from gateway.store import Store
from gateway.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

_PAGE: Final = Path(__file__).parent / "page"
_SWAGGER: Final = ("fastapi_offline", "static")
"""The package that carries Swagger UI's files, and its folder of them."""

_HOUSEKEEPING_SECONDS: Final = 30

log = logging.getLogger("gateway")


def create_app(settings: Settings) -> FastAPI:
    """Return the gateway's application.

    Raises:
        ValueError: a setting, the tokens or the catalogue are not as they should be; it says what to do.
    """
    offer = _read(settings.catalogue)
    workflows = catalogue(offer.models, offer.limits, offer.custom)
    tokens, metrics = Tokens(settings.tokens, settings.rate), Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = Store(settings.data / "queue.db")
        images = Images(
            settings.name,
            settings.data / "images",
            store,
            settings.keep_hours * 3600,
            settings.keep_gb * 1e9,
        )
        async with ComfyClient(settings.comfyui_url) as client:
            health = Health(
                client,
                workflows,
                offer.limits,
                settings.stall,
                settings.timeout,
                settings.comfyui_pid_file,
                metrics.restarts.inc,
            )
            worker = Worker(settings, client, workflows, store, images, health, metrics)
            app.state.parts = Parts(
                settings, offer, workflows, tokens, metrics, store, images, health, worker
            )
            work = (worker.run(), health.prepare(), health.guard(), _keep_house(store, images))
            tasks = [asyncio.create_task(_for_good(each)) for each in work]
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        store.close()

    app = FastAPI(title="fragua gateway", version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(Headers, metrics=metrics)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, lambda *_: Response(status_code=499))
    app.add_exception_handler(Exception, _server_error)
    app.include_router(router(workflows, enhance=settings.openai_api_key is not None))
    app.mount("/static", StaticFiles(directory=_PAGE))
    app.mount("/swagger", StaticFiles(packages=[_SWAGGER]))
    app.add_api_route("/", lambda: FileResponse(_PAGE / "index.html"), include_in_schema=False)
    app.add_api_route("/docs", lambda: FileResponse(_PAGE / "docs.html"), include_in_schema=False)
    return app


def _read(path: Path) -> Catalogue:
    try:
        return Catalogue.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(
            f"GATEWAY_CATALOGUE: cannot read {path}: {error.strerror}; write into it at least "
            '{"models": {"checkpoint": "sd_xl_base_1.0.safetensors"}}'
        ) from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(f"GATEWAY_CATALOGUE: {path}: {problems}") from None


async def _keep_house(store: Store, images: Images) -> None:
    while True:
        await asyncio.to_thread(images.retire)
        store.forget()
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)


async def _for_good(work: Coroutine[Any, Any, None]) -> None:
    """Run what has no end; end the gateway if it ends, for its supervisor to start it again."""
    try:
        await work
    except Exception:
        log.exception("the gateway cannot go on")
        os.kill(os.getpid(), signal.SIGTERM)


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - for the types
    return JSONResponse(error.body(), error.status, error.headers())


async def _http_error(_request: Request, error: Exception) -> Response:
    """Give what Starlette answers, such as 404 and 405, the shape of all errors."""
    assert isinstance(error, HTTPException)  # noqa: S101 - for the types
    kind = error.detail.lower().replace(" ", "-")
    body = ErrorBody(error=ErrorDetail(type=kind, message=f"{error.detail}: /docs says what there is"))
    return JSONResponse(body.model_dump(exclude_none=True), error.status_code, error.headers)


async def _server_error(_request: Request, _error: Exception) -> Response:
    body = ErrorBody(error=ErrorDetail(type="internal", message="the gateway failed; its log says how"))
    return JSONResponse(body.model_dump(exclude_none=True), 500)
