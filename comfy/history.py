"""How a prompt ended, from its entry in ComfyUI's history. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy.errors import ComfyError, ExecutionFailed, Interrupted, OutOfMemory
from comfy.events import Finished


@dataclass(frozen=True)
class SavedImage:
    """A file that a prompt left on the server.

    Attributes:
        node: the ID of the node that saved it.
        filename: its name.
        subfolder: where it is under the folder of its type; may be empty.
        type: output, or temp of a node that only shows it.
    """

    node: str
    filename: str
    subfolder: str
    type: str


def saved_images(entry: dict[str, Any]) -> list[SavedImage]:
    """Return the images that a prompt saved, or those that it showed if it saved none.

    Raises:
        ExecutionFailed: a node failed.
        OutOfMemory: one failed for want of memory on the GPU.
        Interrupted: somebody stopped it.
    """
    status = entry.get("status") or {"status_str": "success"}
    if status["status_str"] != "success":
        raise _failure(status["messages"])
    found = [
        SavedImage(node, image["filename"], image["subfolder"], image["type"])
        for node, output in entry["outputs"].items()
        for image in output.get("images", ())
    ]
    return [image for image in found if image.type == "output"] or found


def finished(entry: dict[str, Any]) -> Finished:
    """Return when and how long a prompt ran, as far as its entry tells."""
    messages = (entry.get("status") or {}).get("messages", ())
    times = [data["timestamp"] / 1000 for _, data in messages if "timestamp" in data]
    return Finished(times[0], times[-1] - times[0]) if times else Finished()


def _failure(messages: list[tuple[str, dict[str, Any]]]) -> ComfyError:
    told = dict(messages)
    if "execution_interrupted" in told:
        node = told["execution_interrupted"]
        return Interrupted(f"somebody stopped it at node {node['node_id']} ({node['node_type']})")
    error = told.get("execution_error", {})
    kind, message = error.get("exception_type", ""), error.get("exception_message", "").strip()
    memory = "OutOfMemoryError" in kind or "CUDA out of memory" in message
    return (OutOfMemory if memory else ExecutionFailed)(
        error.get("node_id", ""), error.get("node_type", ""), kind, message
    )
