"""What comes in: bodies of a bounded size, strict JSON, typed parameters, and what the client accepts."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from comfy.workflows import Workflow, seeded
from gateway.errors import (
    InvalidJson,
    InvalidParameter,
    NoSuchWorkflow,
    ParameterProblem,
    RequestTimeout,
    TooLarge,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

_BODY_SECONDS: Final = 60
_JSON_BYTES: Final = 1_000_000


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body.

    Raises:
        TooLarge: it has more than `limit` bytes.
        RequestTimeout: it takes too long to come.
    """
    too_large = TooLarge(f"the body is over the limit of {limit:,} bytes")
    if int(request.headers.get("content-length", 0)) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise RequestTimeout(f"the body did not come within {_BODY_SECONDS} s") from None
    return bytes(body)


@dataclass(frozen=True)
class Order:
    """A request for images.

    Attributes:
        fingerprint: identifies the body, whatever the order of its fields.
    """

    workflow: Workflow
    parameters: BaseModel
    enhance: bool
    fingerprint: str


async def read_order(request: Request, workflows: Mapping[str, Workflow], limit: int) -> Order:
    """Return what the body of a request asks for.

    Raises:
        ApiError: what is wrong with it.
    """
    try:
        body = from_json(await read_body(request, min(limit, _JSON_BYTES)), allow_inf_nan=False)
    except ValueError as error:
        raise InvalidJson(f"the body is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidParameter('the body must be an object, such as {"prompt": "..."}')
    fingerprint = sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    name = body.pop("workflow", next(iter(workflows)))
    if not isinstance(name, str):
        raise _wrong([ParameterProblem(field="workflow", message="must be a string")])
    if (workflow := workflows.get(name)) is None:
        raise NoSuchWorkflow(
            f"there is no workflow {name[:100]!r}: there is {', '.join(workflows)}", field="workflow"
        )
    enhance = body.pop("enhance", False)
    if not isinstance(enhance, bool):
        raise _wrong([ParameterProblem(field="enhance", message="must be true or false")])
    try:
        parameters = workflow.parameters.model_validate(body)
    except ValidationError as error:
        raise _wrong([_problem(each, workflow) for each in error.errors(include_url=False)]) from None
    return Order(workflow, seeded(parameters), enhance, fingerprint)


def _problem(error: Mapping[str, Any], workflow: Workflow) -> ParameterProblem:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = (
            f"is no parameter of {workflow.name}: those are {', '.join(workflow.parameters.model_fields)}"
        )
    return ParameterProblem(field=".".join(map(str, error["loc"])), message=message)


def _wrong(problems: Sequence[ParameterProblem]) -> InvalidParameter:
    message = "; ".join(f"{each.field}: {each.message}" if each.field else each.message for each in problems)
    return InvalidParameter(message, field=problems[0].field or None, problems=problems)


def accepted(header: str | None, offered: Sequence[str]) -> str:
    """Return the type that an `Accept` header likes best: the first, where it likes none or all alike."""
    best, most = offered[0], 0.0
    ranges = [_weighed(each) for each in (header or "*/*").split(",")]
    for kind in offered:
        fitting = [
            (len(name), weight) for name, weight in ranges if name in {kind, f"{kind.split('/')[0]}/*", "*/*"}
        ]
        # the range that says it most exactly counts
        if fitting and (weight := max(fitting)[1]) > most:
            best, most = kind, weight
    return best


def _weighed(text: str) -> tuple[str, float]:
    name, *settings = (part.strip() for part in text.lower().split(";"))
    weight = next((each[2:] for each in settings if each.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0


def request_schema(workflows: Mapping[str, Workflow], *, enhance: bool) -> dict[str, Any]:
    """Return the JSON schema of the body of a request for images."""
    found = []
    for number, (name, workflow) in enumerate(workflows.items()):
        schema = workflow.parameters.model_json_schema()
        schema["title"] = name
        schema["properties"]["workflow"] = {"const": name, "type": "string"}
        if number:
            schema["required"] = [*schema.get("required", []), "workflow"]
        if enhance:
            schema["properties"]["enhance"] = {"type": "boolean", "default": False}
        found.append(schema)
    return {"anyOf": found}
