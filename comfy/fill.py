"""A workflow, whoever made it, with another prompt, size and seed: where they go is read off its links. Pure."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comfy.graph import Graph
    from comfy.parameters import TextToImage

_TEXTS = ("text", "text_g", "text_l")
_SIZES = {"width": "width", "target_width": "width", "height": "height", "target_height": "height"}


def fill(graph: Graph, parameters: TextToImage, prefix: str) -> Graph:
    """Return the graph with the parameters in each of its samplers and in what leads there.

    Steps that a sampler begins or ends at keep their share of all steps.

    Args:
        graph: in API format; it stays as it is.
        parameters: prompt, negative_prompt, width, height, steps, cfg and the drawn seed are used.
        prefix: of the files that are saved.

    Raises:
        ValueError: one of them has no place in the graph.
    """
    graph = deepcopy(graph)
    placed = set() if parameters.negative_prompt else {"negative_prompt"}

    def put(inputs: dict[str, Any], name: str, parameter: str) -> None:
        if name in inputs and not isinstance(inputs[name], list):
            inputs[name] = getattr(parameters, parameter)
            placed.add(parameter)

    for node in list(graph.values()):
        inputs = node["inputs"]
        if "filename_prefix" in inputs:
            inputs["filename_prefix"] = prefix
        if not {"positive", "negative", "latent_image"} <= inputs.keys():
            continue
        steps = inputs.get("steps")
        for name, parameter in {"seed": "seed", "noise_seed": "seed", "steps": "steps", "cfg": "cfg"}.items():
            put(inputs, name, parameter)
        for name in ("start_at_step", "end_at_step"):
            if isinstance(steps, int) and 0 < inputs.get(name, 0) < steps:
                inputs[name] = round(inputs[name] * parameters.steps / steps)
        for side, parameter in {"positive": "prompt", "negative": "negative_prompt"}.items():
            for encoder in _encoders(graph, inputs[side], side):
                for name in _TEXTS:
                    put(encoder, name, parameter)
                for name, size in _SIZES.items():
                    put(encoder, name, size)
        for name in ("width", "height"):
            put(graph[inputs["latent_image"][0]]["inputs"], name, name)
    wanted = ("prompt", "negative_prompt", "width", "height", "steps", "cfg", "seed")
    if missing := [name for name in wanted if name not in placed]:
        raise ValueError(
            f"the workflow has no place for {', '.join(missing)}: map its inputs as a custom workflow does"
        )
    return graph


def _encoders(graph: Graph, link: Any, side: str) -> Iterator[dict[str, Any]]:
    """Find the inputs of the nodes that turn a text into what a sampler's `side` gets."""
    inputs = graph[link[0]]["inputs"]
    if any(name in inputs for name in _TEXTS):
        yield inputs
        return
    for name, value in inputs.items():
        if isinstance(value, list) and (name == side or name.startswith("conditioning")):
            yield from _encoders(graph, value, side)
