from copy import deepcopy

import pytest

from comfy.nodes import load, validate

GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a castle", "clip": ["1", 1]}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": 3,
            "cfg": 7.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["3", 0],
            "latent_image": ["5", 0],
        },
    },
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 128, "batch_size": 1}},
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"filename_prefix": "t2i", "images": ["6", 0]}},
}


def with_input(node, name, value):
    graph = deepcopy(GRAPH)
    graph[node]["inputs"][name] = value
    return graph


def test_the_table_knows_every_class_of_the_recorded_server_and_the_inputs_of_forty():
    assert len(load()) == 383
    assert sum(record is not None for record in load().values()) == 40


def test_a_graph_that_the_server_ran_has_no_problem():
    assert validate(GRAPH, load()) == []


# what the real server answered to each of these is in its place: 400 with that type, or 200
@pytest.mark.parametrize(
    ("node", "name", "value", "kind", "words"),
    [
        ("7", "images", ["6"], "bad_linked_input", "[node ID, number of an output]"),
        ("7", "images", ["77", 0], "bad_linked_input", "node 77, which is not there; near: 7"),
        ("7", "images", ["6", 9], "bad_linked_input", "output 9 of VAEDecode 6, which has 1"),
        ("7", "images", ["6", -1], "bad_linked_input", "output -1"),
        ("7", "images", ["6", "0"], "bad_linked_input", "output 0"),
        ("7", "images", [["6"], 0], "bad_linked_input", "not there"),
        ("7", "images", "6", "bad_linked_input", "needs a link that gives IMAGE"),
        ("7", "images", ["4", 0], "return_type_mismatch", "needs IMAGE; output 0 of KSampler 4 is LATENT"),
        ("4", "seed", -1, "value_smaller_than_min", "seed is -1; the least is 0"),
        ("4", "seed", 2**64, "value_bigger_than_max", "the most is 18446744073709551615"),
        ("4", "steps", 0, "value_smaller_than_min", "the least is 1"),
        ("4", "cfg", 101, "value_bigger_than_max", "cfg is 101.0; the most is 100.0"),
        ("4", "sampler_name", "DPM++ 2M", "value_not_in_list", "'DPM++ 2M'"),
        ("4", "sampler_name", "euler_ancestrl", "value_not_in_list", "near: euler_ancestral"),
        ("4", "scheduler", {}, "value_not_in_list", "there is simple, sgm_uniform"),
        ("5", "width", 8, "value_smaller_than_min", "the least is 16"),
        ("5", "width", "abc", "invalid_input_type", "must be INT, not 'abc'"),
        ("5", "width", None, "invalid_input_type", "must be INT"),
        ("5", "width", float("inf"), "invalid_input_type", "must be INT"),
    ],
)
def test_what_the_server_refuses_is_found_with_its_node_and_input(node, name, value, kind, words):
    [problem] = validate(with_input(node, name, value), load())
    assert (problem.node, problem.class_type) == (node, GRAPH[node]["class_type"])
    assert (problem.input, problem.kind) == (name, kind)
    assert words in problem.message


def test_what_is_no_number_is_found_where_the_server_would_take_it():
    assert validate(with_input("4", "cfg", float("nan")), load())[0].input == "cfg"


@pytest.mark.parametrize("value", ["64", 64.9, 100])
def test_what_the_server_converts_or_rounds_is_no_problem(value):
    assert validate(with_input("5", "width", value), load()) == []


def test_inputs_that_a_node_does_not_have_are_no_problem():
    assert validate(with_input("5", "colour", "red"), load()) == []


def test_a_required_input_is_missed_though_the_editor_has_a_default_for_it():
    graph = deepcopy(GRAPH)
    del graph["5"]["inputs"]["batch_size"]
    [problem] = validate(graph, load())
    assert (problem.node, problem.input, problem.kind) == ("5", "batch_size", "required_input_missing")


def test_an_optional_input_may_be_left_out():
    loader = {"class_type": "CLIPLoader", "inputs": {"clip_name": "x", "type": "sd3"}}
    graph = {**with_input("2", "clip", ["8", 0]), "8": loader}
    assert validate(graph, load()) == []
    loader["inputs"]["device"] = "tpu"
    [problem] = validate(graph, load())
    assert (problem.node, problem.input, problem.kind) == ("8", "device", "value_not_in_list")


def test_a_node_without_inputs_misses_them():
    problems = validate({"1": {"class_type": "SaveImage"}}, load())
    assert {problem.input for problem in problems} == {"images", "filename_prefix"}


def test_a_class_that_is_not_there_is_named_with_the_near_ones():
    graph = deepcopy(GRAPH)
    graph["4"]["class_type"] = "KSamplr"
    [problem] = validate(graph, load())
    assert (problem.node, problem.kind) == ("4", "unknown_class")
    assert "near: KSampler" in problem.message
    del graph["4"]["class_type"]
    assert validate(graph, load())[0].kind == "unknown_class"


@pytest.mark.parametrize("graph", [{}, {"1": GRAPH["1"]}])
def test_a_graph_that_saves_nothing_is_refused(graph):
    [problem] = validate(graph, load())
    assert problem.kind == "prompt_no_outputs"


def test_nodes_that_feed_each_other_are_found():
    graph = {
        "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    [problem] = validate(graph, load())
    assert problem.kind == "cycle"
    assert "1 -> 2 -> 1" in problem.message or "2 -> 1 -> 2" in problem.message


def test_a_node_that_no_output_needs_may_be_unfinished():
    graph = {**GRAPH, "9": {"class_type": "VAEDecode", "inputs": {}}}
    assert validate(graph, load()) == []


def test_nodes_known_by_name_only_are_taken_as_they_are():
    sharpen = {"class_type": "ImageSharpen", "inputs": {"image": ["6", 5], "amount": "much"}}
    assert validate({**with_input("7", "images", ["8", 3]), "8": sharpen}, load()) == []


def live(**changes):
    """Return the table as a server with files of its own would serve it."""
    return {**load(), **changes}


def served(inputs, outputs=(), *, output_node=False):
    return {"input": {"required": inputs}, "output": list(outputs), "output_node": output_node}


@pytest.mark.parametrize(
    "combo",
    [[["b.safetensors", "c.safetensors"], {"tooltip": "x"}], ["COMBO", {"options": ["b.safetensors"]}]],
)
def test_files_are_checked_against_a_live_table_in_both_its_shapes(combo):
    table = live(CheckpointLoaderSimple=served({"ckpt_name": combo}, ["MODEL", "CLIP", "VAE"]))
    [problem] = validate(GRAPH, table)
    assert (problem.node, problem.input, problem.kind) == ("1", "ckpt_name", "value_not_in_list")
    assert "b.safetensors" in problem.message
    assert validate(with_input("1", "ckpt_name", "b.safetensors"), table) == []


def test_a_folder_without_files_is_told_as_such():
    table = live(CheckpointLoaderSimple=served({"ckpt_name": [[]]}, ["MODEL", "CLIP", "VAE"]))
    assert "there is none" in validate(GRAPH, table)[0].message


def test_types_of_custom_nodes_may_be_any_or_one_of_several():
    table = live(Any=served({"any": ["*"]}, ["*"]), Two=served({"image": ["MASK,IMAGE"]}, ["IMAGE"]))
    graph = {**with_input("7", "images", ["9", 0]), "9": {"class_type": "Any", "inputs": {"any": ["8", 0]}}}
    graph["8"] = {"class_type": "Two", "inputs": {"image": ["6", 0]}}
    assert validate(graph, table) == []
    graph["8"]["inputs"]["image"] = ["4", 0]
    assert validate(graph, table)[0].kind == "return_type_mismatch"


def test_a_choice_may_be_linked_to_a_node_that_makes_choices():
    table = live(Pick=served({}, [["euler", "heun"]]))
    graph = {**with_input("4", "sampler_name", ["8", 0]), "8": {"class_type": "Pick", "inputs": {}}}
    assert validate(graph, table) == []
