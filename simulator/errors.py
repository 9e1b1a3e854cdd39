"""The one way to refuse a call: a status, a code and a text, as Vast words its errors."""

from __future__ import annotations

from typing import Any


class APIError(Exception):
    """A refusal that the routes turn into an HTTP answer.

    Attributes:
        status: the HTTP status. 200 is possible: some of Vast's failures are.
        error: the machine-readable code, e.g. `invalid_args`.
        msg: what is wrong and what to do.
        extra: further keys of the body, e.g. `ask_id`.
    """

    def __init__(self, status: int, error: str, msg: str, **extra: Any) -> None:
        super().__init__(f"{status} {error}: {msg}")
        self.status = status
        self.error = error
        self.msg = msg
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {"success": False, "error": self.error, "msg": self.msg, **self.extra}


def invalid_args(msg: str, **extra: Any) -> APIError:
    """Return the 400 that most wrong bodies get."""
    return APIError(400, "invalid_args", msg, **extra)


def no_such_instance(contract_id: int) -> APIError:
    """Return the 404 of calls that act on an instance."""
    return APIError(404, "no_such_instance", f"Instance {contract_id} not found.")
