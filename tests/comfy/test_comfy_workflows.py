import json
import re

import pytest
from pydantic import ValidationError

from comfy.workflows import Limits, Models, catalogue, seeded

ALL = Models(
    checkpoint="base.safetensors",
    refiner="refiner.safetensors",
    vae="vae.safetensors",
    loras={"animal": "animal-1.safetensors", "style": "style-2.safetensors"},
    lora_strengths={"animal": 0.8},
    upscaler="4x.pth",
)
PLAIN = Models(checkpoint="base.safetensors")


def built(name="text-to-image", models=PLAIN, limits=None, **parameters):
    workflow = catalogue(models, limits)[name]
    if "prompt" in workflow.parameters.model_fields:
        parameters = {"prompt": "a fox", "seed": 7, **parameters}
    return workflow.build(workflow.parameters(**parameters), "job-1")


def of_class(graph, class_type):
    """Return the inputs of the only node of a class."""
    [inputs] = [node["inputs"] for node in graph.values() if node["class_type"] == class_type]
    return inputs


def errors(name="text-to-image", models=PLAIN, limits=None, **parameters):
    """Return the errors of a refused request by the field that they are about."""
    with pytest.raises(ValidationError) as caught:
        built(name, models, limits, **parameters)
    return {".".join(map(str, error["loc"])): error["msg"] for error in caught.value.errors()}


def test_text_to_image_is_the_graph_of_the_tutorials():
    graph = built(negative_prompt="blurry", width=1152, height=896, steps=20, cfg=6, batch=2)
    assert graph == {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 1152, "height": 896, "batch_size": 2}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["1", 1]}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "seed": 7,
                "steps": 20,
                "cfg": 6.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "positive": ["3", 0],
                "negative": ["4", 0],
                "latent_image": ["2", 0],
                "denoise": 1.0,
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "job-1"}},
    }


def test_which_workflows_there_are_follows_from_the_models():
    assert list(catalogue(PLAIN)) == ["text-to-image", "image-to-image"]
    assert list(catalogue(ALL)) == ["text-to-image", "text-to-image-refined", "image-to-image", "upscale"]


def test_a_vae_of_its_own_decodes_and_encodes():
    for name, more in [
        ("text-to-image", {}),
        ("text-to-image-refined", {}),
        ("image-to-image", {"image": "x.png"}),
    ]:
        graph = built(name, ALL, **more)
        loader = next(node for node, entry in graph.items() if entry["class_type"] == "VAELoader")
        assert graph[loader]["inputs"] == {"vae_name": "vae.safetensors"}
        used = [e["inputs"]["vae"] for e in graph.values() if e["class_type"] in {"VAEDecode", "VAEEncode"}]
        assert {link[0] for link in used} == {loader}


def loras(graph):
    """Return name and strength of the LoRAs on the way from the sampler back to the checkpoint."""
    link, found = of_class(graph, "KSampler")["model"], []
    while (node := graph[link[0]])["class_type"] == "LoraLoader":
        inputs = node["inputs"]
        assert inputs["clip"] == [inputs["model"][0], 1]
        assert inputs["strength_model"] == inputs["strength_clip"]
        found.append((inputs["lora_name"], inputs["strength_model"]))
        link = inputs["model"]
    assert node["class_type"] == "CheckpointLoaderSimple"
    return found[::-1]


def test_loras_are_chained_in_their_order_at_their_strengths():
    both = [("animal-1.safetensors", 0.8), ("style-2.safetensors", 1.0)]
    assert loras(built(models=ALL)) == both
    graph = built(models=ALL, loras={"style": -0.5, "animal": 2})
    assert loras(graph) == [("animal-1.safetensors", 2.0), ("style-2.safetensors", -0.5)]
    texts = [node["inputs"] for node in graph.values() if node["class_type"] == "CLIPTextEncode"]
    assert {tuple(text["clip"]) for text in texts} == {(of_class(graph, "KSampler")["model"][0], 1)}


@pytest.mark.parametrize("given", [{"style": 1}, {"style": 1, "animal": 0}])
def test_a_lora_at_strength_zero_or_not_named_is_left_out(given):
    assert loras(built(models=ALL, loras=given)) == [("style-2.safetensors", 1.0)]


def test_a_lora_that_is_not_there_is_refused_with_those_that_are():
    assert "'fox': there is animal, style" in errors(models=ALL, loras={"fox": 1})["loras"]
    assert "none is configured" in errors(loras={"fox": 1})["loras"]


@pytest.mark.parametrize("strength", [2.01, -3, float("nan"), "1", True, None])
def test_a_strength_that_is_none_is_refused_with_its_lora(strength):
    assert list(errors(models=ALL, loras={"animal": strength})) == ["loras.animal"]


def test_the_refiner_takes_over_the_noisy_image_and_ends_it():
    graph = built("text-to-image-refined", ALL, steps=30, refine_at=0.75, negative_prompt="blurry")
    base, refiner = (node["inputs"] for node in graph.values() if node["class_type"] == "KSamplerAdvanced")
    own = {"model", "positive", "negative", "latent_image", "add_noise", "return_with_leftover_noise"}
    own |= {"start_at_step", "end_at_step"}
    assert {k: v for k, v in base.items() if k not in own} == {
        k: v for k, v in refiner.items() if k not in own
    }
    assert (base["add_noise"], base["start_at_step"], base["end_at_step"]) == ("enable", 0, 22)
    assert (refiner["add_noise"], refiner["start_at_step"], refiner["end_at_step"]) == ("disable", 22, 30)
    assert (base["return_with_leftover_noise"], refiner["return_with_leftover_noise"]) == (
        "enable",
        "disable",
    )
    assert graph[refiner["latent_image"][0]]["inputs"] is base
    assert graph[base["model"][0]]["class_type"] == "LoraLoader"
    checkpoint = refiner["model"][0]
    assert graph[checkpoint]["inputs"] == {"ckpt_name": "refiner.safetensors"}
    for end, text, score in [("positive", "a fox", 6.0), ("negative", "blurry", 2.5)]:
        encoder = graph[refiner[end][0]]
        assert encoder["class_type"] == "CLIPTextEncodeSDXLRefiner"
        size = {"width": 1024, "height": 1024}
        assert encoder["inputs"] == {"ascore": score, **size, "text": text, "clip": [checkpoint, 1]}
        assert graph[base[end][0]]["inputs"]["text"] == text


@pytest.mark.parametrize(
    ("steps", "share", "over"), [(1, 0.8, 1), (2, 0.99, 1), (2, 0.1, 1), (150, 0.8, 120)]
)
def test_the_base_model_makes_a_step_at_least_and_leaves_one_where_there_are_two(steps, share, over):
    graph = built("text-to-image-refined", ALL, steps=steps, refine_at=share)
    ends = [n["inputs"]["end_at_step"] for n in graph.values() if n["class_type"] == "KSamplerAdvanced"]
    assert ends == [over, steps]


def test_image_to_image_fits_the_image_to_the_size_and_keeps_some_of_it():
    graph = built("image-to-image", image="in/fox (1).png", width=768, height=1024, denoise=0.4, batch=3)
    assert of_class(graph, "LoadImage") == {"image": "in/fox (1).png"}
    scale = of_class(graph, "ImageScale")
    assert (scale["width"], scale["height"], scale["crop"]) == (768, 1024, "center")
    assert graph[of_class(graph, "VAEEncode")["pixels"][0]]["inputs"] is scale
    assert of_class(graph, "RepeatLatentBatch")["amount"] == 3
    sampler = of_class(graph, "KSampler")
    assert sampler["denoise"] == 0.4
    assert graph[sampler["latent_image"][0]]["class_type"] == "RepeatLatentBatch"
    alone = built("image-to-image", image="x.png")
    assert alone[of_class(alone, "KSampler")["latent_image"][0]]["class_type"] == "VAEEncode"


def test_upscale_enlarges_and_then_shrinks_where_it_is_asked_to():
    graph = built("upscale", ALL, image="x.png", scale=0.5)
    assert of_class(graph, "UpscaleModelLoader") == {"model_name": "4x.pth"}
    shrunk = of_class(graph, "ImageScaleBy")
    assert shrunk["scale_by"] == 0.5
    assert graph[shrunk["image"][0]]["class_type"] == "ImageUpscaleWithModel"
    whole = built("upscale", ALL, image="x.png")
    assert whole[of_class(whole, "SaveImage")["images"][0]]["class_type"] == "ImageUpscaleWithModel"


def test_which_parameters_are_uploaded_images_is_told():
    found = {name: workflow.images for name, workflow in catalogue(ALL).items()}
    assert found == {
        "text-to-image": (),
        "text-to-image-refined": (),
        "image-to-image": ("image",),
        "upscale": ("image",),
    }


@pytest.mark.parametrize(
    "name",
    ["../x.png", "/etc/passwd", "a/../../x.png", "a\\b.png", "x.png [output]", "", ".hidden", "a//b", "x\n"],
)
def test_a_file_name_that_could_leave_the_folder_is_refused(name):
    assert list(errors("image-to-image", image=name)) == ["image"]


@pytest.mark.parametrize("name", ["x.png", "in/fox (1).png", "-Xk3_9", "2f1c-44.webp", "лиса.png"])
def test_a_file_name_as_uploads_return_it_is_taken(name):
    assert of_class(built("image-to-image", image=name), "LoadImage") == {"image": name}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("width", value) for value in (1000, 1025, 192, 2112, 0, -64, "1024", 1024.5, True, None)),
        *(("steps", value) for value in (0, 151, "32", 1.5)),
        *(("cfg", value) for value in (-0.1, 100.1, "7", float("inf"), float("nan"))),
        *(("seed", value) for value in (-1, 2**53, "7", 1.5)),
        *(("batch", value) for value in (0, 5)),
        ("sampler", "DPM++ 2M"),
        ("scheduler", "Karras"),
        ("prompt", 7),
        ("prompt", "x" * 10_001),
        ("prompt", "\ud800"),
        ("negative_prompt", None),
        ("filename_prefix", "x"),
        ("image", "x.png"),
    ],
)
def test_what_the_limits_or_the_server_do_not_take_is_refused_with_its_field(field, value):
    assert list(errors(**{field: value})) == [field]


def test_a_prompt_is_needed():
    assert [error["loc"] for error in refused(catalogue(PLAIN)["text-to-image"], {})] == [("prompt",)]


def refused(workflow, parameters):
    with pytest.raises(ValidationError) as caught:
        workflow.parameters.model_validate(parameters)
    return caught.value.errors()


def test_too_many_pixels_are_refused_with_a_size_that_fits():
    [(field, message)] = errors(width=2048, height=1536).items()
    assert field == ""
    assert "2048x1536 is 3,145,728 pixels, over the limit of 2,359,296" in message
    width, height = map(int, re.search(r"(\d+)x(\d+) fits", message).groups())
    assert (width, height) == (1728, 1280)
    assert of_class(built(width=width, height=height), "EmptyLatentImage")["width"] == width


def test_limits_of_a_small_gpu_bound_defaults_too():
    limits = Limits(max_side=768, max_pixels=768 * 512, max_steps=20, max_batch=1, multiple=8)
    graph = built(limits=limits)
    assert of_class(graph, "EmptyLatentImage") == {"width": 624, "height": 624, "batch_size": 1}
    assert of_class(graph, "KSampler")["steps"] == 20
    assert set(errors(limits=limits, batch=2, steps=21, width=776)) == {"batch", "steps", "width"}
    assert of_class(built(limits=limits, width=600, height=600), "EmptyLatentImage")["width"] == 600


@pytest.mark.parametrize(
    "wrong",
    [
        {"multiple": 4},
        {"multiple": 12},
        {"min_side": 8},
        {"max_side": 192},
        {"max_pixels": 65535},
        {"side": 1},
    ],
)
def test_limits_that_leave_no_size_or_that_comfyui_would_round_are_refused(wrong):
    with pytest.raises(ValidationError):
        Limits(**wrong)


def test_the_schema_tells_a_page_what_may_be_asked():
    schema = catalogue(ALL)["image-to-image"].parameters.model_json_schema()
    fields = schema["properties"]
    assert schema["required"] == ["prompt", "image"]
    assert schema["additionalProperties"] is False
    width = {key: fields["width"][key] for key in ("default", "minimum", "maximum", "multipleOf", "type")}
    assert width == {"default": 1024, "minimum": 256, "maximum": 2048, "multipleOf": 64, "type": "integer"}
    assert (fields["steps"]["minimum"], fields["steps"]["maximum"]) == (1, 150)
    assert "dpmpp_2m_sde" in fields["sampler"]["enum"]
    assert "karras" in fields["scheduler"]["enum"]
    assert fields["loras"]["additionalProperties"] is False
    style = {"type": "number", "minimum": -2, "maximum": 2, "default": 1.0}
    assert fields["loras"]["properties"]["style"] == style
    assert fields["loras"]["default"] == {"animal": 0.8, "style": 1.0}
    assert fields["seed"]["anyOf"][0]["maximum"] == 2**53 - 1
    assert all(field["description"] for field in fields.values())


def test_a_seed_is_drawn_where_the_request_has_none_and_kept_where_it_has():
    workflow = catalogue(PLAIN)["text-to-image"]
    open_, fixed = workflow.parameters(prompt="a"), workflow.parameters(prompt="a", seed=0)
    drawn = {seeded(open_).seed for _ in range(20)}
    assert len(drawn) == 20
    assert all(0 <= seed < 2**53 for seed in drawn)
    assert seeded(fixed) is fixed
    upscale = catalogue(ALL)["upscale"].parameters(image="x.png")
    assert seeded(upscale) is upscale


def test_parameters_come_back_from_json_as_they_were():
    workflow = catalogue(ALL)["text-to-image-refined"]
    parameters = seeded(workflow.parameters(prompt="a fox 🦊", loras={"style": 0.25}))
    text = json.dumps(parameters.model_dump())
    assert workflow.parameters.model_validate(json.loads(text)) == parameters


@pytest.mark.parametrize("strengths", [{"fox": 1}, {"animal": 2.5}, {"animal": float("nan")}])
def test_strengths_of_no_lora_or_beyond_the_bounds_are_refused(strengths):
    with pytest.raises(ValidationError, match=r"lora_strengths|strength of animal"):
        Models(checkpoint="a", loras={"animal": "b"}, lora_strengths=strengths)
