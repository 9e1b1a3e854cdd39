"""What ComfyUI's websocket says, as the events of one prompt. Pure."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, Final, Literal

_PREVIEW: Final = 1
_PREVIEW_WITH_METADATA: Final = 4


@dataclass(frozen=True)
class Queued:
    """It waits.

    Attributes:
        position: how many prompts come before it, with the one that runs.
    """

    position: int


@dataclass(frozen=True)
class Started:
    """It runs."""


@dataclass(frozen=True)
class Executing:
    """One of its nodes runs.

    Attributes:
        node: the node's ID.
    """

    node: str


@dataclass(frozen=True)
class Progress:
    """A node has done a part of its work, such as a step of sampling.

    Attributes:
        node: the node's ID.
        value: the steps done.
        max: all its steps.
    """

    node: str
    value: int
    max: int


@dataclass(frozen=True)
class Preview:
    """The image as far as it has come; of a SaveImageWebsocket node, the whole image.

    Attributes:
        data: the file's bytes.
        format: the file's format.
    """

    data: bytes
    format: Literal["jpeg", "png"]


@dataclass(frozen=True)
class Finished:
    """It has ended, well or not: the history tells.

    Attributes:
        started: when it began to run, in seconds since 1970 by ComfyUI's clock; None where nothing tells.
        seconds: how long it ran; None where nothing tells.
    """

    started: float | None = None
    seconds: float | None = None


Event = Queued | Started | Executing | Progress | Preview | Finished


def parse(frame: str | bytes) -> tuple[str | None, Event] | None:
    """Return the prompt's ID and the event, or nothing if the frame tells of none.

    The ID is None for the preview of a server that knows no better: it belongs to the prompt that runs.
    """
    try:
        return _parse_text(json.loads(frame)) if isinstance(frame, str) else _parse_binary(frame)
    except (ValueError, KeyError, TypeError, struct.error, RecursionError):
        return None


def _parse_text(message: dict[str, Any]) -> tuple[str, Event] | None:
    data = message["data"]
    match message["type"]:
        case "execution_start":
            return data["prompt_id"], Started()
        case "executing" if data["node"] is None:
            return data["prompt_id"], Finished()
        case "executing":
            return data["prompt_id"], Executing(data["node"])
        case "progress":
            return data["prompt_id"], Progress(data["node"], int(data["value"]), int(data["max"]))
        case _:
            return None


def _parse_binary(frame: bytes) -> tuple[str | None, Event] | None:
    kind, number = struct.unpack_from(">II", frame)
    if kind == _PREVIEW:
        return None, Preview(frame[8:], "png" if number == 2 else "jpeg")
    if kind == _PREVIEW_WITH_METADATA:
        about = json.loads(frame[8 : 8 + number])
        return about["prompt_id"], Preview(
            frame[8 + number :], "png" if about["image_type"] == "image/png" else "jpeg"
        )
    return None
