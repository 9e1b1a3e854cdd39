"""A workflow, whoever made it, with another prompt, size and seed: its links tell where they go. Pure."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comfy.graph import Graph
    from comfy.parameters import TextToImage

    Inputs = dict[str, Any]

_SAMPLER = {"seed": "seed", "noise_seed": "seed", "steps": "steps", "cfg": "cfg"}
_SIZE = {"width": "width", "height": "height"}
_LARGE = {**_SIZE, "target_width": "width", "target_height": "height"}
_TEXTS = ("text", "text_g", "text_l")


def fill(graph: Graph, parameters: TextToImage, prefix: str) -> Graph:
    """Return the graph with the parameters in each of its samplers and in what leads there.

    Steps at which a sampler begins or ends keep their share of all steps.

    Args:
        graph: in API format; it stays as it is.
        parameters: prompt, negative_prompt, width, height, steps, cfg and the seed, which is drawn, are used.
        prefix: of the files that are saved.

    Raises:
        ValueError: one of them has no place in the graph.
    """
    graph = deepcopy(graph)
    wanted = {"prompt", *_SAMPLER.values(), *_SIZE}
    if parameters.negative_prompt:
        wanted.add("negative_prompt")
    for node in graph.values():
        if "filename_prefix" in node["inputs"]:
            node["inputs"]["filename_prefix"] = prefix
    for inputs, names in list(_places(graph)):
        steps = inputs.get("steps")
        for name, parameter in names.items():
            if name in inputs and not isinstance(inputs[name], list):
                inputs[name] = getattr(parameters, parameter)
                wanted.discard(parameter)
        for name in ("start_at_step", "end_at_step"):
            if isinstance(steps, int) and 0 < inputs.get(name, 0) <= steps:
                inputs[name] = round(inputs[name] * parameters.steps / steps)
    if wanted:
        missing = ", ".join(sorted(wanted))
        raise ValueError(f"the workflow has no place for {missing}: map its inputs as a custom workflow does")
    return graph


def _places(graph: Graph) -> Iterator[tuple[Inputs, dict[str, str]]]:
    """Find the inputs of nodes that matter, and which parameter each takes."""
    for node in graph.values():
        inputs = node["inputs"]
        if {"positive", "negative", "latent_image"} <= inputs.keys():
            yield inputs, _SAMPLER
            yield _source(graph, inputs["latent_image"]), _SIZE
            for side, parameter in {"positive": "prompt", "negative": "negative_prompt"}.items():
                for encoder in _encoders(graph, inputs[side], side):
                    yield encoder, {**dict.fromkeys(_TEXTS, parameter), **_LARGE}


def _source(graph: Graph, link: Any) -> Inputs:
    """Return the inputs of the node that a link comes from."""
    inputs: Inputs = graph.get(str(link[0]), {"inputs": {}})["inputs"]
    return inputs


def _encoders(graph: Graph, link: Any, side: str) -> Iterator[Inputs]:
    """Find the inputs of the nodes that turn a text into what a sampler's `side` gets."""
    inputs = _source(graph, link)
    if any(name in inputs for name in _TEXTS):
        yield inputs
        return
    for name, value in inputs.items():
        if isinstance(value, list) and (name == side or name.startswith("conditioning")):
            yield from _encoders(graph, value, side)
