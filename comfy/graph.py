"""What ComfyUI runs: a graph of nodes in API format, and a builder for those that are written here. Pure."""

from __future__ import annotations

from typing import Any

from comfy.nodes import load

Graph = dict[str, dict[str, Any]]
"""Node ID -> {"class_type": ..., "inputs": {name: a value, or a link [node ID, number of the output]}}."""

Link = list[Any]
"""The output of a node: its ID and the number of the output, from 0."""


class Builder:
    """Adds one node after another; what `graph` holds can be posted at any time."""

    def __init__(self) -> None:
        self.graph: Graph = {}

    def add(self, class_type: str, **inputs: object) -> list[Link]:
        """Add a node of a class that the packaged table knows, and return a link to each of its outputs."""
        node = str(len(self.graph) + 1)
        self.graph[node] = {"class_type": class_type, "inputs": inputs}
        return [[node, slot] for slot in range(len(load()[class_type]["output"]))]
