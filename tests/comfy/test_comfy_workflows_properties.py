"""For any parameters that a schema allows: the graph fits ComfyUI, and one that is bent anywhere does not."""

from copy import deepcopy

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from comfy.custom import Custom
from comfy.nodes import inputs, load, validate
from comfy.workflows import Limits, Models, catalogue, seeded

FILES = st.sampled_from(["x.png", "in/fox (1).png"])
SETTINGS = settings(deadline=None, max_examples=100)


def custom():
    """Return a workflow of a person's own, with a parameter of each kind."""
    other = catalogue(Models(checkpoint="x"))["image-to-image"]
    graph = other.build(other.parameters(prompt="", seed=1, image="x.png"), "p")
    at = {entry["class_type"]: node for node, entry in graph.items()}
    places = {
        "prompt": ("CLIPTextEncode", "text"),
        "image": ("LoadImage", "image"),
        "seed": ("KSampler", "seed"),
        "steps": ("KSampler", "steps"),
        "strength": ("KSampler", "denoise"),
        "method": ("ImageScale", "upscale_method"),
    }
    inputs = {name: {"node": at[kind], "input": field} for name, (kind, field) in places.items()}
    inputs["width"] = {
        "node": at["ImageScale"],
        "input": "width",
        "default": 512,
        "also": [{"node": at["ImageScale"], "input": "height"}],
    }
    return Custom.model_validate({"name": "mine", "graph": graph, "inputs": inputs})


ONE, TWO = {"a": "a.safetensors"}, {"a": "a.safetensors", "b": "sub/b.safetensors"}
WORKFLOWS = [
    workflow
    for models, limits in [
        (Models(checkpoint="base.safetensors"), Limits()),
        (
            Models(checkpoint="x", refiner="y", vae="z", loras=ONE, upscaler="u"),
            Limits(multiple=8, max_batch=64),
        ),
        (
            Models(checkpoint="x", refiner="y", loras=TWO, lora_strengths={"b": -2}),
            Limits(min_side=16, max_side=512),
        ),
        (
            Models(checkpoint="x", vae="z", loras=TWO),
            Limits(max_side=16384, max_pixels=2**28, max_steps=10_000),
        ),
    ]
    for workflow in catalogue(models, limits, [custom()]).values()
]


def values(name, schema):
    """Return the strategy of all that a property's schema allows."""
    if name == "image":
        return FILES
    if "anyOf" in schema:
        return st.one_of([values(name, each) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "object":
        each = {key: values(key, value) for key, value in schema["properties"].items()}
        return st.fixed_dictionaries({}, optional=each)
    low, high, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf", 1)
    return {
        "integer": lambda: st.integers(-(-low // step), high // step).map(lambda count: count * step),
        "number": lambda: st.floats(low, high) | st.sampled_from([low, high]),
        "string": lambda: st.text(max_size=schema["maxLength"]),
        "null": st.none,
    }[schema["type"]]()


def allowed(workflow):
    """Return the strategy of all that a workflow's schema allows."""
    schema = workflow.parameters.model_json_schema()
    fields = {name: values(name, each) for name, each in schema["properties"].items()}
    needed = {name: fields.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(needed, optional=fields)


REQUESTS = st.one_of([st.tuples(st.just(workflow), allowed(workflow)) for workflow in WORKFLOWS])


@st.composite
def workflows_and_parameters(draw):
    workflow, request = draw(REQUESTS)
    try:
        parameters = workflow.parameters.model_validate(request)
    except ValidationError as error:
        # no schema can say how large width times height may be
        assume(any("over the limit of" not in each["msg"] for each in error.errors()))
        raise
    return workflow, parameters


@SETTINGS
@given(workflows_and_parameters())
def test_every_graph_of_parameters_that_the_schema_allows_fits_comfyui(drawn):
    workflow, parameters = drawn
    graph = workflow.build(seeded(parameters), "job-1")
    assert validate(graph, load()) == []
    saved = [node["inputs"] for node in graph.values() if node["class_type"] == "SaveImage"]
    assert [each["filename_prefix"] for each in saved] == ["job-1"]


@st.composite
def bent(draw, graph):
    """Return a graph with one input bent, its node and the input's name."""
    graph = deepcopy(graph)
    places = []
    for node, entry in graph.items():
        specs = inputs(load()[entry["class_type"]])
        for name, value in entry["inputs"].items():
            kind, spec = specs[name]
            wrong = [None]  # it is taken away
            if isinstance(value, list):
                wrong += [["no such node", 0], [value[0], 9], [value[0]], "text", 7]
                gives = {other: load()[each["class_type"]]["output"] for other, each in graph.items()}
                wrong += [
                    [other, slot]
                    for other, outputs in gives.items()
                    for slot, output in enumerate(outputs)
                    if output != kind
                ]
            if "min" in spec:
                wrong += [spec["min"] - 1, "many", [node, 0]]
            if "max" in spec:
                wrong += [spec["max"] * 2 + 1]
            if spec.get("options"):
                wrong += ["no such choice", 7]
            places += [(node, name, value) for value in wrong]
    node, name, value = draw(st.sampled_from(places))
    if value is None:
        del graph[node]["inputs"][name]
    else:
        graph[node]["inputs"][name] = value
    return graph, node, name


@SETTINGS
@given(st.data(), workflows_and_parameters())
def test_a_graph_with_any_one_input_bent_is_found_out_at_that_input(data, drawn):
    workflow, parameters = drawn
    graph, node, name = data.draw(bent(workflow.build(seeded(parameters), "job-1")))
    problems = validate(graph, load())
    assert [(each.node, each.input) for each in problems] == [(node, name)] or problems[0].kind == "cycle"


@st.composite
def limits(draw):
    multiple = draw(st.sampled_from([8, 16, 64, 128]))
    least = draw(st.integers(16, 1024))
    most = draw(st.integers(least + multiple, 4096))
    pixels = draw(st.integers((least + multiple) ** 2, 4096**2))
    return Limits(multiple=multiple, min_side=least, max_side=most, max_pixels=pixels)


def within(bounds, width, height):
    sides = all(
        bounds.min_side <= side <= bounds.max_side and side % bounds.multiple == 0 for side in (width, height)
    )
    return sides and width * height <= bounds.max_pixels


@SETTINGS
@given(limits(), st.integers(1, 20_000), st.integers(1, 20_000))
def test_a_size_that_is_said_to_fit_does_and_is_not_turned(bounds, width, height):
    fitting = bounds.fit(width, height)
    assert within(bounds, *fitting)
    assert (width - height) * (fitting[0] - fitting[1]) >= 0


@SETTINGS
@given(limits(), st.data())
def test_a_size_that_is_allowed_already_is_left_as_it_is(bounds, data):
    least = -(-bounds.min_side // bounds.multiple)
    sides = st.integers(least, bounds.max_side // bounds.multiple).map(lambda count: count * bounds.multiple)
    size = data.draw(sides), data.draw(sides)
    assume(within(bounds, *size))
    assert bounds.fit(*size) == size
