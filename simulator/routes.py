"""HTTP: from a request to a call, from its result or refusal to an answer. No rules live here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from simulator.api import ENDPOINTS, Endpoint
from simulator.errors import APIError
from simulator.handlers.call import Call
from simulator.ratelimit import RateLimited, RateLimiter

if TYPE_CHECKING:
    from starlette.requests import Request

    from simulator.auth import Key
    from simulator.world import World


def api_routes(world: World, limiter: RateLimiter) -> list[Route]:
    """Return the routes of the table, most literal path first, and the one for all the rest."""
    ordered = sorted(ENDPOINTS, key=lambda endpoint: endpoint.path.count("{"))
    routes = [
        Route(
            endpoint.path.replace("}", ":int}"),
            _endpoint(world, limiter, endpoint),
            methods=[endpoint.method],
        )
        for endpoint in ordered
    ]
    routes.append(Route("/results/{name}", _result(world)))
    return [*routes, Route("/{path:path}", _not_simulated, methods=list(METHODS))]


METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")


def _endpoint(world: World, limiter: RateLimiter, endpoint: Endpoint) -> Any:
    name = f"{endpoint.method} {endpoint.path}"

    async def respond(request: Request) -> Response:
        try:
            key = _authenticate(world, request)
            path = {name: int(value) for name, value in request.path_params.items()}
            _authorise(key, endpoint, path)
            if endpoint.limit is not None:
                limiter.check(name, key.key, endpoint.limit)
            body = await _body(request)
            call = Call(key, path, dict(request.query_params), body, str(request.base_url), world.settle())
            return JSONResponse(endpoint.handler(world, call))
        except APIError as error:
            return JSONResponse(error.body(), error.status)
        except RateLimited as refusal:
            if refusal.plain:
                return PlainTextResponse(str(refusal), 429)
            return JSONResponse({"detail": str(refusal).replace(":", "")}, 429)

    return respond


def _result(world: World) -> Any:
    async def respond(request: Request) -> Response:
        text = world.results.fetch(request.path_params["name"])
        return PlainTextResponse(text or "", 404 if text is None else 200)

    return respond


def _authenticate(world: World, request: Request) -> Key:
    header = request.headers.get("authorization", "")
    token = header.removeprefix("Bearer ").strip() or request.query_params.get("api_key")
    if not token:
        raise APIError(403, "auth_error", "This action requires login.")
    key = world.keys.find(token)
    if key is None:
        raise APIError(404, "auth_error", "Invalid user key")
    return key


def _authorise(key: Key, endpoint: Endpoint, path: dict[str, int]) -> None:
    is_own = endpoint.own and key.instance is not None and path.get("id") == key.instance
    if not is_own and not key.allows(endpoint.scope):
        text = f"The API key does not have the permission {endpoint.scope}."
        raise APIError(403, "auth_error", text)


async def _body(request: Request) -> Any:
    raw = await request.body()
    if not raw:
        return {}
    try:
        return json.loads(raw)
    except ValueError:
        raise APIError(400, "invalid_request", "Invalid json body") from None


async def _not_simulated(request: Request) -> Response:
    text = f"The simulator does not simulate {request.method} {request.url.path}."
    return JSONResponse(APIError(404, "not_simulated", text).body(), 404)
