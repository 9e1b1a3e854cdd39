"""Every error that comfy raises on purpose.

ComfyError
├── Unreachable         ComfyUI does not answer, or not as ComfyUI does
├── Rejected            it will not run the graph: what is wrong with which node
├── ExecutionFailed     a node failed
│   └── OutOfMemory     for want of memory on the GPU
├── Interrupted         somebody stopped it
├── Gone                ComfyUI does not know the prompt: removed from the queue, or lost in a restart
└── TooSlow             the deadline passed; the prompt may still run
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a graph.

    Attributes:
        node: the node's ID; empty when it is the whole graph.
        class_type: the node's class; empty when it is the whole graph.
        input: the name of the input, where it is about one.
        kind: ComfyUI's word for it, such as `value_not_in_list`.
        message: what is wrong, for a person.
    """

    node: str
    class_type: str
    input: str | None
    kind: str
    message: str

    def __str__(self) -> str:
        where = f"node {self.node} ({self.class_type}): " if self.node else ""
        return where + self.message


class ComfyError(Exception):
    """The root."""


class Unreachable(ComfyError):
    """ComfyUI does not answer, or not as ComfyUI does."""


class Rejected(ComfyError):
    """ComfyUI will not run the graph, or not all of it. Nothing of it runs.

    Attributes:
        problems: what is wrong; never empty.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("ComfyUI rejects the workflow: " + "; ".join(map(str, problems)))
        self.problems = problems


class ExecutionFailed(ComfyError):
    """A node failed while it ran.

    Attributes:
        node: the node's ID.
        class_type: the node's class.
        exception_type: the class of the exception in ComfyUI, such as `RuntimeError`.
        message: what the exception says.
    """

    def __init__(self, node: str, class_type: str, exception_type: str, message: str) -> None:
        super().__init__(f"node {node} ({class_type}) failed with {exception_type}: {message}")
        self.node = node
        self.class_type = class_type
        self.exception_type = exception_type
        self.message = message


class OutOfMemory(ExecutionFailed):
    """The GPU's memory does not hold it. ComfyUI has unloaded its models, and the next prompt can run."""


class Interrupted(ComfyError):
    """The prompt was stopped while it ran."""


class Gone(ComfyError):
    """ComfyUI does not know the prompt: it was removed from the queue, or lost in a restart. It will not run.

    Or the prompt has run, and the file of a picture is no longer there.
    """


class TooSlow(ComfyError):
    """The deadline passed. The prompt may still wait or run: `ComfyClient.cancel` stops it."""
