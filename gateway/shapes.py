"""What the API answers with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from comfy.workflows import Limits
from gateway.errors import ErrorDetail

State = Literal["queued", "running", "done", "failed", "cancelled"]


class Progress(BaseModel):
    """How far the node that runs is."""

    value: int
    max: int


class JobImage(BaseModel):
    """An image that a job made."""

    url: str
    width: int
    height: int
    bytes: int
    seed: int | None


class JobShape(BaseModel):
    """A job.

    Attributes:
        position: how many jobs are before it, while it waits.
        created, started, finished: Unix time, seconds.
        seconds: of the GPU.
        cost: of those seconds at the machine's price, $.
    """

    id: str
    state: State
    workflow: str
    parameters: dict[str, Any]
    position: int | None
    progress: Progress | None
    created: float
    started: float | None
    finished: float | None
    seconds: float | None
    cost: float | None
    images: list[JobImage]
    error: ErrorDetail | None


class JobList(BaseModel):
    """Jobs, the newest first."""

    jobs: list[JobShape]


class Upload(BaseModel):
    """An uploaded image; `image` is what a parameter of that name takes."""

    image: str
    width: int
    height: int


class WorkflowShape(BaseModel):
    """A workflow; `schema` is the JSON schema of its parameters."""

    name: str
    description: str
    schema_: dict[str, Any] = Field(alias="schema")


class WorkflowList(BaseModel):
    """Workflows; the first is what a request gets that names none."""

    workflows: list[WorkflowShape]


class Who(BaseModel):
    """Who the token belongs to, and what it may.

    Attributes:
        price: of the machine, $/h.
        enhance: whether prompts can be written out.
    """

    token: str
    price: float | None
    limits: Limits
    enhance: bool


class Status(BaseModel):
    """How the gateway and its ComfyUI are.

    Attributes:
        waiting: jobs that wait.
        running: jobs that ComfyUI runs.
    """

    status: Literal["ok"]
    waiting: int
    running: int
