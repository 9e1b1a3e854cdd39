import json
from copy import deepcopy

import pytest
from pydantic import ValidationError

from comfy.custom import Custom, read_graph
from comfy.nodes import load, validate
from comfy.workflows import Limits, Models, catalogue, seeded

GRAPH = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "my.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 832, "height": 1216, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 156680208700286,
            "steps": 20,
            "cfg": 8,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
        "_meta": {"title": "KSampler"},
    },
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
}
INPUTS = {
    "prompt": {"node": 6, "input": "text"},
    "negative_prompt": {"node": 7, "input": "text"},
    "width": {"node": 5, "input": "width"},
    "height": {"node": 5, "input": "height"},
    "steps": {"node": 3, "input": "steps"},
    "cfg": {"node": 3, "input": "cfg"},
    "seed": {"node": 3, "input": "seed"},
    "sampler": {"node": 3, "input": "sampler_name", "choices": ["euler", "heun"]},
}
IMAGE = {"class_type": "LoadImage", "inputs": {"image": "example.png"}}


def bent(**entries):
    """Return the graph with some inputs of some nodes changed: `node_3={"steps": 5}`."""
    graph = deepcopy(GRAPH)
    for node, inputs in entries.items():
        graph[node.removeprefix("node_")]["inputs"].update(inputs)
    return graph


def made(inputs, graph=GRAPH, limits=None, **more):
    custom = Custom(name="mine", graph=graph, inputs=inputs, **more)
    return catalogue(Models(checkpoint="a"), limits, [custom])["mine"]


def message(inputs=INPUTS, graph=GRAPH, **more):
    """Return what is said of a workflow that is refused."""
    with pytest.raises(ValueError) as caught:  # a ValidationError of pydantic's is one
        made(inputs, graph, **more)
    return str(caught.value)


def test_a_request_goes_to_the_places_of_the_mapping_and_the_rest_stays_as_it_is():
    workflow = made(INPUTS)
    request = {"prompt": "a fox", "width": 1024, "cfg": 6.5, "seed": 7, "sampler": "heun"}
    graph = workflow.build(workflow.parameters.model_validate(request), "job-1")
    expected = bent(
        node_6={"text": "a fox"},
        node_5={"width": 1024},
        node_3={"cfg": 6.5, "seed": 7, "sampler_name": "heun"},
        node_9={"filename_prefix": "job-1"},
    )
    assert graph == expected
    assert validate(graph, load()) == []
    untouched = workflow.build(workflow.parameters(prompt="x", seed=1), "job-2")
    assert untouched["5"]["inputs"]["width"] == 832


def test_it_stands_behind_the_others_and_describes_itself_by_a_schema():
    assert list(
        catalogue(Models(checkpoint="a"), None, [Custom(name="mine", graph=GRAPH, inputs=INPUTS)])
    ) == [
        "text-to-image",
        "image-to-image",
        "mine",
    ]
    schema = made({**INPUTS, "steps": {**INPUTS["steps"], "minimum": 4, "description": "few"}})
    schema = schema.parameters.model_json_schema()
    assert schema["title"] == "Mine"
    assert schema["required"] == ["prompt"]
    fields = schema["properties"]
    width = {"default": 832, "minimum": 256, "maximum": 2048, "multipleOf": 64, "type": "integer"}
    assert width.items() <= fields["width"].items()
    assert {"default": 20, "minimum": 4, "maximum": 150, "description": "few"}.items() <= fields[
        "steps"
    ].items()
    assert (fields["cfg"]["type"], fields["cfg"]["default"], fields["cfg"]["maximum"]) == ("number", 8.0, 100)
    assert fields["sampler"]["enum"] == ["euler", "heun"]
    assert fields["seed"]["default"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 1000),
        ("width", 2112),
        ("steps", 151),
        ("cfg", 101),
        ("seed", 2**53),
        ("sampler", "lcm"),
        ("prompt", "x" * 10_001),
        ("denoise", 0.5),
    ],
)
def test_the_limits_hold_for_the_parameters_that_have_the_usual_names(field, value):
    with pytest.raises(ValidationError) as caught:
        made(INPUTS).parameters(**{"prompt": "a", field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


def test_the_limit_of_pixels_holds_too():
    with pytest.raises(ValidationError, match="over the limit of 2,359,296: 1536x1536 fits"):
        made(INPUTS).parameters(prompt="a", width=2048, height=2048)


def test_the_seed_is_drawn_and_not_the_one_in_the_graph():
    workflow = made(INPUTS)
    seeds = {seeded(workflow.parameters(prompt="a")).seed for _ in range(5)}
    assert len(seeds) == 5
    assert made({"seed": {**INPUTS["seed"], "default": 3}}).parameters().seed == 3


def test_free_names_are_bounded_by_their_nodes_and_by_the_person():
    inputs = {
        "strength": {"node": 3, "input": "denoise", "default": 0.5, "minimum": 0.25},
        "count": {"node": 5, "input": "batch_size", "maximum": 8, "multiple": 2, "default": 2},
        "scheduler": {"node": 3, "input": "scheduler"},
    }
    workflow = made(inputs)
    assert workflow.parameters().model_dump() == {"strength": 0.5, "count": 2, "scheduler": "normal"}
    wrong = {"strength": 0.2, "count": 10, "scheduler": "Karras"}
    with pytest.raises(ValidationError) as caught:
        workflow.parameters(**wrong)
    assert [error["loc"][0] for error in caught.value.errors()] == list(wrong)
    for more in ({"strength": 1.5}, {"count": 3}):
        with pytest.raises(ValidationError):
            workflow.parameters(**more)


def test_one_parameter_may_go_to_several_places_and_keeps_to_the_bounds_of_all():
    double = {"node": 6, "input": "text", "also": [{"node": 7, "input": "text"}]}
    workflow = made({"prompt": double})
    graph = workflow.build(workflow.parameters(prompt="both"), "p")
    assert graph["6"]["inputs"]["text"] == graph["7"]["inputs"]["text"] == "both"
    number = {"node": 3, "input": "seed", "also": [{"node": 5, "input": "batch_size"}], "default": 1}
    field = made({"number": number}).parameters.model_json_schema()["properties"]["number"]
    assert (field["minimum"], field["maximum"]) == (1, 4096)
    mixed = {"node": 3, "input": "seed", "also": [{"node": 6, "input": "text"}]}
    assert "take INT and STRING" in message({"number": mixed})


def test_an_uploaded_image_is_a_parameter_that_is_told_apart():
    graph = {
        "1": IMAGE,
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x", "images": ["2", 0]}},
    }
    workflow = made({"picture": {"node": 1, "input": "image"}}, graph)
    assert workflow.images == ("picture",)
    with pytest.raises(ValidationError) as caught:
        workflow.parameters.model_validate({})
    assert caught.value.errors()[0]["type"] == "missing"
    with pytest.raises(ValidationError):
        workflow.parameters(picture="../x.png")
    assert workflow.build(workflow.parameters(picture="x.png"), "p")["1"]["inputs"] == {"image": "x.png"}
    assert "inputs.image: a parameter of this name is an uploaded" in message(
        {"image": {"node": 3, "input": "steps"}}
    )


def test_files_can_only_be_chosen_from_a_list_of_the_person():
    assert "list under choices" in message({"model": {"node": 4, "input": "ckpt_name"}})
    choices = {"node": 4, "input": "ckpt_name", "choices": ["my.safetensors", "other.safetensors"]}
    workflow = made({"model": choices})
    assert workflow.parameters().model == "my.safetensors"
    with pytest.raises(ValidationError):
        workflow.parameters(model="../secret.safetensors")


def test_every_save_node_gets_the_prefix_of_the_request():
    animated = {
        "class_type": "SaveAnimatedWEBP",
        "inputs": {
            "images": ["8", 0],
            "filename_prefix": "mine",
            "fps": 6,
            "lossless": True,
            "quality": 80,
            "method": "default",
        },
    }
    workflow = made({"sharp": {"node": 10, "input": "lossless"}}, {**GRAPH, "10": animated})
    graph = workflow.build(workflow.parameters(sharp=False), "job-1")
    assert graph["9"]["inputs"]["filename_prefix"] == graph["10"]["inputs"]["filename_prefix"] == "job-1"
    assert graph["10"]["inputs"]["lossless"] is False


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"prompt": {"node": 66, "input": "text"}}, "inputs.prompt: node 66 is not in the graph; near: 6"),
        (
            {"prompt": {"node": "a", "input": "text"}},
            "node a is not in the graph; there is 4, 5, 6, 7, 3, 8, 9",
        ),
        ({"prompt": {"node": 6, "input": "txt"}}, "CLIPTextEncode 6 has no input 'txt'; near: text"),
        ({"s": {"node": 3, "input": "zzz"}}, "KSampler 3 has no input 'zzz'; there is seed, steps, cfg"),
        (
            {"p": {"node": 6, "input": "text", "also": [{"node": 3, "input": "x"}]}},
            "KSampler 3 has no input 'x'",
        ),
        ({"prefix": {"node": 9, "input": "filename_prefix"}}, "inputs.prefix: the prefix of files is chosen"),
        ({"link": {"node": 3, "input": "model"}}, "inputs.link: only a link can go there"),
        ({"json": {"node": 6, "input": "text"}}, "inputs.json: the name is taken"),
        ({"workflow": {"node": 6, "input": "text"}}, "inputs.workflow: the name is taken"),
        ({"enhance": {"node": 6, "input": "text"}}, "inputs.enhance: the name is taken"),
        ({"_x": {"node": 6, "input": "text"}}, "should match pattern"),
        ({"width": {"node": 6, "input": "text"}}, "inputs.width: a parameter of this name is a number"),
        (
            {"height": {"node": 3, "input": "scheduler"}},
            "inputs.height: a parameter of this name is a number",
        ),
        ({"steps": {"node": 3, "input": "steps", "default": 200}}, "inputs.steps: 200 can't be there"),
        ({"steps": {"node": 3, "input": "steps", "default": "many"}}, "'many' can't be there"),
        ({"s": {"node": 3, "input": "sampler_name", "choices": ["euler", "DPM"]}}, "'DPM' can't be there"),
        (
            {"s": {"node": 3, "input": "sampler_name", "choices": ["heun"]}},
            "'euler' can't be there: Input should be 'heun'",
        ),
        ({"p": {"node": 6, "input": "text", "minimum": 1}}, "minimum, maximum and multiple are for numbers"),
        ({"p": {"node": 6, "input": "text", "min": 1}}, "Extra inputs are not permitted"),
    ],
)
def test_a_mapping_that_does_not_fit_the_graph_is_refused_by_its_name(inputs, words):
    assert words in message(inputs)


def test_a_default_in_the_graph_that_the_limits_do_not_take_is_refused():
    assert "inputs.width: 1000 can't be there: Input should be a multiple of 64" in message(
        INPUTS, bent(node_5={"width": 1000})
    )


@pytest.mark.parametrize("name", ["text-to-image", "mine"])
def test_a_name_that_is_taken_is_refused(name):
    mine = [Custom(name=each, graph=GRAPH, inputs={}) for each in ("mine", name)]
    with pytest.raises(ValueError, match=f"two workflows are named {name}"):
        catalogue(Models(checkpoint="a"), Limits(), mine)


def test_only_classes_of_comfyui_and_those_that_are_allowed_may_be_used():
    face = {"class_type": "FaceFixer", "inputs": {"image": ["8", 0], "much": 0.5}}
    graph = {**bent(node_9={"images": ["10", 0]}), "10": face}
    assert "node 10: 'FaceFixer' is no class of ComfyUI's own" in message(INPUTS, graph)
    workflow = made({"much": {"node": 10, "input": "much"}}, graph, allow=["FaceFixer"])
    assert workflow.build(workflow.parameters(much=0.75), "p")["10"]["inputs"]["much"] == 0.75
    with pytest.raises(ValidationError):
        workflow.parameters(much="a lot")


def test_a_graph_that_could_not_run_is_refused_with_its_node():
    assert "node 3 (KSampler): steps is 0; the least is 1" in message(INPUTS, bent(node_3={"steps": 0}))
    unsaved = {node: entry for node, entry in GRAPH.items() if node != "9"}
    assert "no SaveImage is in the graph" in message({}, unsaved)
    assert "'9' is no node with a class_type and inputs" in message({}, {**unsaved, "9": {"inputs": {}}})


def test_a_workflow_travels_as_json_and_comes_back_the_same():
    inputs = {**INPUTS, "half": {"node": 3, "input": "denoise", "choices": [0.5, 1], "default": 1}}
    custom = Custom(name="mine", graph=GRAPH, inputs=inputs, allow=["FaceFixer"])
    back = Custom.model_validate_json(custom.model_dump_json())
    assert back == custom
    assert back.inputs["half"].choices == (0.5, 1)


def test_a_file_in_api_format_is_read():
    assert read_graph(json.dumps(GRAPH)) == GRAPH


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '{"nodes": [], "links": [], "version": 0.4}',
            "the editor's format, which can't be run: open it in ComfyUI",
        ),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("{", "not JSON"),
        ("[]", "it is not an object that holds nodes"),
        ("{}", "it is not an object that holds nodes"),
        ("null", "it is not an object that holds nodes"),
        ('{"prompt": {"1": {}}}', "'prompt' is no node with a class_type and inputs; to get one, open it"),
        ('{"1": {"class_type": "SaveImage"}}', "'1' is no node"),
        ('{"1": {"class_type": 7, "inputs": {}}}', "'1' is no node"),
        ('{"1": {"class_type": "SaveImage", "inputs": []}}', "'1' is no node"),
    ],
)
def test_what_is_no_workflow_in_api_format_is_refused_with_what_to_do(text, words):
    with pytest.raises(ValueError) as caught:
        read_graph(text)
    assert words in str(caught.value)
    if "not JSON" not in words:
        assert "Export (API)" in str(caught.value)
