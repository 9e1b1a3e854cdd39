"""The client's pure parts: how a prompt ended, and where values go in a person's workflow."""

import copy

import pytest

from comfy.errors import ExecutionFailed, Interrupted, OutOfMemory
from comfy.fill import fill
from comfy.graph import Builder
from comfy.history import SavedImage, saved_images
from comfy.parameters import TextToImage
from comfy.workflows import Models, TextToImageRefined, text_to_image_refined

START = ["execution_start", {"prompt_id": "p", "timestamp": 1}]


def image(name, kind="output", subfolder=""):
    return {"filename": name, "subfolder": subfolder, "type": kind}


def ended(*messages, outputs=None):
    return {
        "outputs": outputs or {},
        "status": {"status_str": "error", "completed": False, "messages": [START, *messages]},
    }


def succeeded(outputs):
    return {"outputs": outputs, "status": {"status_str": "success", "completed": True, "messages": [START]}}


def failed(kind, message):
    about = {"node_id": "4", "node_type": "KSampler", "executed": ["1"], "traceback": []}
    return ["execution_error", {**about, "exception_type": kind, "exception_message": message}]


def test_the_images_that_were_saved_count_and_those_only_shown_do_not():
    entry = succeeded(
        {"3": {"images": [image("a.png", "temp")]}, "7": {"images": [image("b.png", subfolder="x")]}}
    )
    assert saved_images(entry) == [SavedImage("7", "b.png", "x", "output")]


def test_images_only_shown_count_when_none_was_saved():
    assert saved_images(succeeded({"3": {"images": [image("a.png", "temp")]}})) == [
        SavedImage("3", "a.png", "", "temp")
    ]


def test_outputs_that_are_no_images_are_passed_over():
    assert saved_images(succeeded({"9": {"text": ["a word"]}})) == []


def test_an_entry_without_a_status_is_judged_by_its_outputs():
    assert saved_images({"outputs": {"7": {"images": [image("b.png")]}}, "status": None}) != []


def test_a_node_that_failed_is_named_with_its_exception():
    with pytest.raises(
        ExecutionFailed, match=r"^node 4 \(KSampler\) failed with ValueError: too odd$"
    ) as caught:
        saved_images(ended(failed("ValueError", "too odd\n"), outputs={"7": {"images": [image("b.png")]}}))
    assert not isinstance(caught.value, OutOfMemory)
    assert (caught.value.node, caught.value.class_type) == ("4", "KSampler")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory.\n"),
        ("torch.cuda.OutOfMemoryError", "Allocation on device\n"),
        ("RuntimeError", "CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_want_of_memory_is_told_from_other_failures(kind, message):
    with pytest.raises(OutOfMemory):
        saved_images(ended(failed(kind, message)))


def test_an_interruption_is_told_from_a_failure():
    told = {"prompt_id": "p", "node_id": "4", "node_type": "KSampler", "executed": []}
    with pytest.raises(Interrupted, match=r"node 4 \(KSampler\)"):
        saved_images(ended(["execution_interrupted", told]))


def test_a_failure_without_a_reason_is_still_a_failure():
    with pytest.raises(ExecutionFailed):
        saved_images(ended())


WANTED = TextToImage(
    prompt="a lynx", negative_prompt="fog", width=1152, height=896, steps=50, cfg=5.5, seed=7
)


def test_values_go_to_both_samplers_and_both_pairs_of_texts_of_a_refined_workflow():
    old = TextToImageRefined(prompt="old", negative_prompt="older", steps=10, refine_at=0.8, seed=1)
    graph = text_to_image_refined(Models(checkpoint="base.safetensors", refiner="r.safetensors"), old, "old")
    untouched = copy.deepcopy(graph)
    found = fill(graph, WANTED, "new/prefix")
    assert graph == untouched
    new = old.model_copy(update={**WANTED.model_dump(exclude={"sampler", "scheduler", "batch", "loras"})})
    models = Models(checkpoint="base.safetensors", refiner="r.safetensors")
    assert found == text_to_image_refined(models, new, "new/prefix")


def small(**changes):
    graph = Builder()
    model, clip, vae = graph.add("CheckpointLoaderSimple", ckpt_name="a.safetensors")
    [text] = graph.add("CLIPTextEncode", text="old", clip=clip)
    [blank] = graph.add("ConditioningZeroOut", conditioning=text)
    [latent] = graph.add("EmptyLatentImage", width=512, height=512, batch_size=1)
    settings = {
        "seed": 1,
        "steps": 20,
        "cfg": 8.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    links = {"model": model, "positive": text, "negative": blank, "latent_image": latent}
    [sample] = graph.add("KSampler", **{**links, **settings, **changes})
    [pixels] = graph.add("VAEDecode", samples=sample, vae=vae)
    graph.add("SaveImage", images=pixels, filename_prefix="old")
    return graph.graph


def test_a_workflow_needs_no_place_for_a_negative_prompt_that_is_empty():
    found = fill(small(negative=["4", 0]), WANTED.model_copy(update={"negative_prompt": ""}), "p")
    assert found["2"]["inputs"]["text"] == "a lynx"
    assert found["7"]["inputs"]["filename_prefix"] == "p"


def test_a_value_that_has_no_place_in_the_workflow_is_named():
    graph = small(negative=["4", 0], seed=["9", 0])
    with pytest.raises(ValueError, match="no place for negative_prompt, seed: map its inputs"):
        fill(graph, WANTED, "p")
