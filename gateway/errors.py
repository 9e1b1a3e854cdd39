"""All that the API answers when it does not do what was asked: one tree, one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Sequence


class ParameterProblem(BaseModel):
    """What is wrong with one parameter."""

    field: str
    message: str


class ErrorDetail(BaseModel):
    """What went wrong."""

    type: str
    message: str
    field: str | None = None
    problems: list[ParameterProblem] | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorDetail


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        type: a word for programs.
        field: the parameter that it is about.
        problems: all that is wrong with the parameters.
        retry_after: seconds after which it may be asked again.
    """

    status: ClassVar[int]
    type: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        problems: Sequence[ParameterProblem] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.field = field
        self.problems = problems
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """Return the JSON."""
        detail = ErrorDetail(
            type=self.type,
            message=str(self),
            field=self.field,
            problems=self.problems and list(self.problems),
        )
        return ErrorBody(error=detail).model_dump(exclude_none=True)

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to it."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class InvalidJson(ApiError):
    """The body is no JSON."""

    status, type = 400, "invalid-json"


class Unauthorized(ApiError):
    """There is no token, or it is not one of ours."""

    status, type = 401, "unauthorized"

    def headers(self) -> dict[str, str]:
        """Ask for a token."""
        return {"WWW-Authenticate": "Bearer"}


class NoSuchJob(ApiError):
    """No job of this token has the id."""

    status, type = 404, "no-such-job"


class NoSuchImage(ApiError):
    """No image of this token has the id."""

    status, type = 404, "no-such-image"


class NoSuchWorkflow(ApiError):
    """No workflow has the name."""

    status, type = 404, "no-such-workflow"


class _Unread(ApiError):
    """The body is not read, or not to its end."""

    def headers(self) -> dict[str, str]:
        """End the connection: what else would come is of no use."""
        return {"Connection": "close"}


class RequestTimeout(_Unread):
    """The body came too slowly."""

    status, type = 408, "request-timeout"


class IdempotencyConflict(ApiError):
    """The key came with another body before."""

    status, type = 409, "idempotency-conflict"


class Cancelled(ApiError):
    """Somebody cancelled the job."""

    status, type = 409, "cancelled"


class Expired(ApiError):
    """The image was there once."""

    status, type = 410, "gone"


class TooLarge(_Unread):
    """The body is over the limit."""

    status, type = 413, "too-large"


class UnsupportedMediaType(ApiError):
    """What was uploaded is no image that is understood."""

    status, type = 415, "unsupported-media-type"


class InvalidParameter(ApiError):
    """Parameters are missing, not known, or beyond the limits."""

    status, type = 422, "invalid-parameter"


class QueueFull(ApiError):
    """As many jobs wait as may."""

    status, type = 429, "queue-full"


class RateLimited(ApiError):
    """The token asks too often."""

    status, type = 429, "rate-limited"


class ComfyuiFailed(ApiError):
    """ComfyUI refused or failed."""

    status, type = 502, "comfyui-failed"


class EnhancementFailed(ApiError):
    """OpenAI did not write the prompt out."""

    status, type = 502, "enhancement-failed"


class NotReady(ApiError):
    """ComfyUI cannot make an image now."""

    status, type = 503, "not-ready"


class TimedOut(ApiError):
    """The job took too long."""

    status, type = 504, "timeout"


class GpuMemory(ApiError):
    """The GPU's memory does not hold what was asked for."""

    status, type = 507, "out-of-memory"


OF_JOBS: Final = {kind.type: kind for kind in (Cancelled, Expired, ComfyuiFailed, TimedOut, GpuMemory)}
"""Why a job can have ended without an image."""
