"""What the stand-in ComfyUI accepts and refuses, with the words that the real one was recorded to use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from comfy_prompts import IMAGE, TEXT, Comfy, changed
from comfy_server import comfyui
from PIL import Image


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comfy]:
    models = dict.fromkeys(("checkpoints/sd.safetensors", "loras/ink.safetensors", "upscale_models/2x.pth"))
    models["checkpoints/cut.safetensors"] = (300).to_bytes(8, "little") + b"{"
    with comfyui(tmp_path_factory.mktemp("comfyui"), models=models) as server:
        yield Comfy(server.url)


@pytest.mark.parametrize(
    ("graph", "kind", "message", "details"),
    [
        ({}, "prompt_no_outputs", "Prompt has no outputs", ""),
        ([], "prompt_no_outputs", "Prompt has no outputs", ""),
        ({"1": IMAGE["1"]}, "prompt_no_outputs", "Prompt has no outputs", ""),
        ({"1": {"inputs": {}}}, "invalid_prompt",
         "Cannot execute because a node is missing the class_type property.", "Node ID '#1'"),
        ({"1": {"class_type": "Nope"}}, "invalid_prompt",
         "Cannot execute because node Nope does not exist.", "Node ID '#1'"),
    ],
)  # fmt: skip
def test_a_graph_that_is_none_is_refused_as_a_whole(
    comfy: Comfy, graph: Any, kind: str, message: str, details: str
) -> None:
    answer = comfy.post(graph)
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    assert (answer.status_code, answer.json()) == (400, {"error": error, "node_errors": {}})


SCHEDULERS = (
    "['simple', 'sgm_uniform', 'karras', 'exponential', 'ddim_uniform', 'beta', 'normal', 'linear_quadratic', "
    "'kl_optimal']"
)


@pytest.mark.parametrize(
    ("graph", "node", "kind", "details"),
    [
        (changed(IMAGE, n2_images=None), "2", "required_input_missing", "images"),
        (changed(IMAGE, n1_batch_size=None), "1", "required_input_missing", "batch_size"),
        (changed(IMAGE, n2_images=["1"]), "2", "bad_linked_input", "images"),
        (changed(IMAGE, n2_images=["77", 0]), "2", "exception_during_validation", "'77'"),
        (changed(IMAGE, n2_images=["1", 5]), "2", "exception_during_validation", "tuple index out of range"),
        (changed(TEXT, n7_images=["4", 0]), "7", "return_type_mismatch",
         "images, received_type(LATENT) mismatch input_type(IMAGE)"),
        (changed(IMAGE, n1_width=0), "1", "value_smaller_than_min", "width"),
        (changed(IMAGE, n1_width=999999), "1", "value_bigger_than_max", "width"),
        (changed(IMAGE, n1_width="abc"), "1", "invalid_input_type",
         "width, abc, invalid literal for int() with base 10: 'abc'"),
        (changed(TEXT, n4_seed=-1), "4", "value_smaller_than_min", "seed"),
        (changed(TEXT, n4_seed=2**64), "4", "value_bigger_than_max", "seed"),
        (changed(TEXT, n5_width=8), "5", "value_smaller_than_min", "width"),
        (changed(TEXT, n4_sampler_name="DPM++ 2M"), "4", "value_not_in_list",
         "sampler_name: 'DPM++ 2M' not in (list of length 42)"),
        (changed(TEXT, n4_scheduler="x"), "4", "value_not_in_list", f"scheduler: 'x' not in {SCHEDULERS}"),
        (changed(TEXT, n1_ckpt_name="x"), "1", "value_not_in_list",
         "ckpt_name: 'x' not in ['cut.safetensors', 'sd.safetensors']"),
        (changed({**IMAGE, "1": {"class_type": "LoadImage", "inputs": {"image": "nope.png"}}}), "1",
         "custom_validation_failed", "image - Invalid image file: nope.png"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_named_with_its_node(
    comfy: Comfy, graph: Any, node: str, kind: str, details: str
) -> None:
    answer = comfy.post(graph)
    body = answer.json()
    assert answer.status_code == 400
    assert body["error"]["type"] == "prompt_outputs_failed_validation"
    assert list(body["node_errors"]) == [node]
    found = body["node_errors"][node]
    assert found["class_type"] == graph[node]["class_type"]
    assert found["dependent_outputs"] == ["7" if "7" in graph else "2"]
    assert [(error["type"], error["details"]) for error in found["errors"]] == [(kind, details)]
    if node in found["dependent_outputs"]:
        assert body["error"]["details"] == f"{found['errors'][0]['message']}: {details}"
    else:
        assert body["error"]["details"] == "", "only the output nodes' own errors stand at the top"


def test_a_long_list_of_choices_is_not_repeated_and_a_short_one_is(comfy: Comfy) -> None:
    def config(graph: Any) -> Any:
        return comfy.post(graph).json()["node_errors"]["4"]["errors"][0]["extra_info"]["input_config"]

    assert config(changed(TEXT, n4_sampler_name="x")) is None
    assert len(config(changed(TEXT, n4_scheduler="x"))[0]) == 9


def test_a_circle_is_refused_without_a_word(comfy: Comfy) -> None:
    invert = {"1": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}}
    body = comfy.post({**IMAGE, **invert}).json()
    assert (body["error"]["details"], body["node_errors"]) == ("", {})


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b'{"prompt": "text"}', b'{"prompt": {"last_node_id": 2, "nodes": [], "links": []}}',
        json.dumps({"prompt": IMAGE, "number": "first"}).encode(),
        json.dumps({"prompt": IMAGE, "extra_data": None, "client_id": "me"}).encode(),
    ],
)  # fmt: skip
def test_what_it_stumbles_over_is_a_500_without_a_cause(comfy: Comfy, body: bytes) -> None:
    answer = comfy.http.post("/prompt", content=body)
    assert answer.status_code == 500
    assert answer.text == "500 Internal Server Error\n\nServer got itself in trouble"


def test_a_body_without_a_prompt_is_told_so(comfy: Comfy) -> None:
    for body in ({}, []):
        assert comfy.http.post("/api/prompt", json=body).json()["error"]["type"] == "no_prompt"


def test_an_invalid_output_is_dropped_and_the_rest_runs(comfy: Comfy) -> None:
    graph = {**IMAGE, "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "two"}}}
    answer = comfy.post(graph)
    assert answer.status_code == 200
    assert list(answer.json()["node_errors"]) == ["3"]
    assert list(comfy.ended(answer.json()["prompt_id"])["outputs"]) == ["2"]


def test_values_are_converted_and_unknown_inputs_ignored(comfy: Comfy) -> None:
    entry = comfy.run(changed(IMAGE, n1_width="96", n1_height=64.9, n1_other=1))
    assert Image.open(BytesIO(comfy.image(entry, "2"))).size == (96, 64)


def test_sizes_are_floored_to_multiples_of_eight(comfy: Comfy) -> None:
    entry = comfy.run(changed(TEXT, n5_width=100, n5_height=100))
    assert Image.open(BytesIO(comfy.image(entry))).size == (96, 96)


def test_an_id_of_ones_own_is_kept_and_null_becomes_a_word(comfy: Comfy) -> None:
    assert comfy.post(IMAGE, prompt_id="my-id").json()["prompt_id"] == "my-id"
    assert comfy.post(IMAGE, prompt_id=None).json()["prompt_id"] == "None"


def test_the_picture_follows_from_the_graph_alone(comfy: Comfy) -> None:
    def pixels(**inputs: Any) -> bytes:
        entry = comfy.run(changed(TEXT, n7_filename_prefix=f"p{len(inputs)}", **inputs))
        return Image.open(BytesIO(comfy.image(entry))).tobytes()

    first = pixels()
    comfy.http.post("/free", json={"free_memory": True})
    assert pixels() == first, "nothing of it is drawn by chance"
    lora = {"class_type": "LoraLoader", "inputs": {"model": ["1", 0], "clip": ["1", 1]}}
    lora["inputs"] |= {"lora_name": "ink.safetensors", "strength_model": 1.0, "strength_clip": 1.0}
    with_lora = comfy.run(changed({**TEXT, "8": lora}, n4_model=["8", 0]))
    others = [pixels(n4_seed=43), pixels(n2_text="a ship"), pixels(n4_steps=4), pixels(n4_cfg=3.0)]
    others.append(Image.open(BytesIO(comfy.image(with_lora))).tobytes())
    assert len({first, *others}) == 6


def test_a_batch_has_as_many_files_and_none_is_like_another(comfy: Comfy) -> None:
    entry = comfy.run(changed(TEXT, n5_batch_size=3))
    files = entry["outputs"]["7"]["images"]
    images = {comfy.http.get("/view", params=file).content for file in files}
    assert len(files) == len(images) == 3


def test_an_input_image_shows_through_as_denoise_says_and_an_upscaler_enlarges(comfy: Comfy) -> None:
    sent = BytesIO()
    Image.new("RGB", (128, 128), (255, 0, 0)).save(sent, "PNG")
    name = comfy.http.post("/upload/image", files={"image": ("red.png", sent.getvalue())}).json()["name"]
    extra = {
        "5": {"class_type": "VAEEncode", "inputs": {"pixels": ["8", 0], "vae": ["1", 2]}},
        "8": {"class_type": "LoadImage", "inputs": {"image": name}},
        "9": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "2x.pth"}},
        "10": {
            "class_type": "ImageUpscaleWithModel",
            "inputs": {"upscale_model": ["9", 0], "image": ["6", 0]},
        },
    }

    def redness(denoise: float) -> float:
        graph = changed({**TEXT, **extra}, n4_denoise=denoise, n7_images=["10", 0])
        image = Image.open(BytesIO(comfy.image(comfy.run(graph))))
        assert image.size == (256, 256)
        return Image.open(BytesIO(comfy.image(comfy.run(graph)))).resize((1, 1)).getpixel((0, 0))[0]

    assert redness(0.2) > redness(0.9)


@pytest.mark.parametrize(
    ("inputs", "node", "kind", "message"),
    [
        ({"n1_ckpt_name": "cut.safetensors"}, "1", "safetensors._safetensors_rust.SafetensorError",
         "Error while deserializing header: InvalidHeaderLength\n"),
        ({"n5_width": 16384, "n5_height": 16384}, "4", "torch.OutOfMemoryError", "Allocation on device 0 would exceed"),
        ({"n7_filename_prefix": "../../evil"}, "7", "Exception", "**** ERROR: Saving image outside the output folder"),
    ],
)  # fmt: skip
def test_what_fails_while_it_runs_is_in_the_history_and_the_next_prompt_works(
    comfy: Comfy, inputs: Any, node: str, kind: str, message: str
) -> None:
    entry = comfy.run(changed(TEXT, **inputs))
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    event, data = entry["status"]["messages"][-1]
    assert (event, data["node_id"], data["exception_type"]) == ("execution_error", node, kind)
    assert data["exception_message"].startswith(message)
    assert data["node_type"] == TEXT[node]["class_type"]
    assert comfy.run(TEXT)["status"]["status_str"] == "success"
