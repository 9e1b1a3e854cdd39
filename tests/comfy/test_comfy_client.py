"""The client against the stand-in server: what it returns, tells and raises."""

import asyncio
import io
import itertools
import json
import math
import uuid

import pytest
from comfy_server import comfyui
from PIL import Image

from comfy import feed
from comfy.client import ComfyClient
from comfy.errors import (
    ComfyError,
    ExecutionFailed,
    Gone,
    Interrupted,
    OutOfMemory,
    Problem,
    Rejected,
    TooSlow,
)
from comfy.events import Executing, Finished, Preview, Progress, Queued, Started
from comfy.nodes import validate
from comfy.parameters import ImageToImage, TextToImage
from comfy.workflows import Models, image_to_image, text_to_image

pytestmark = pytest.mark.anyio
MODELS = Models(checkpoint="sd.safetensors")
SEEDS = itertools.count()
"""What ran before with a seed is not run again."""


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    models = dict.fromkeys(["checkpoints/sd.safetensors"])
    with comfyui(tmp_path_factory.mktemp("comfyui"), models=models) as found:
        yield found


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory):
    models = dict.fromkeys(["checkpoints/sd.safetensors"])
    with comfyui(tmp_path_factory.mktemp("slow-comfyui"), models=models, step=0.05) as found:
        yield found


@pytest.fixture
async def client(server):
    async with ComfyClient(server.url) as found:
        yield found


@pytest.fixture
async def slow(slow_server):
    async with ComfyClient(slow_server.url) as found:
        yield found
        for prompt_id in await found.queue():
            await found.cancel(prompt_id)


def graph(models=MODELS, **parameters):
    wanted = {"prompt": "a lynx", "width": 64, "height": 64, "steps": 2, "seed": next(SEEDS), **parameters}
    return text_to_image(models, TextToImage(**wanted), f"test/{uuid.uuid4()}")


def opened(data):
    return Image.open(io.BytesIO(data))


class Heard(list):
    """Events, and a way to wait for one."""

    def __call__(self, event):
        self.append(event)

    async def of(self, kind):
        async with asyncio.timeout(10):
            while not any(isinstance(event, kind) for event in self):  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def test_the_guides_call_returns_a_png_of_the_size_asked_for(client):
    data = await client.generate_image(
        prompt="a lynx", negative_prompt="blurry", width=128, height=64, steps=3, cfg=7.0, seed=42
    )
    assert opened(data).format == "PNG"
    assert opened(data).size == (128, 64)


async def test_a_seed_fixes_the_image_and_no_seed_draws_another(client):
    async def pixels(seed):
        return opened(
            await client.generate_image("a lynx", width=64, height=64, steps=1, seed=seed)
        ).tobytes()

    first = await pixels(7)
    assert await pixels(7) == first
    assert await pixels(None) != await pixels(None)


@pytest.mark.parametrize("wrong", [{"width": 100}, {"steps": 0}, {"seed": -1}, {"cfg": math.nan}])
async def test_a_value_that_comfyui_would_change_or_refuse_is_an_error_before_it_is_sent(client, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        await client.generate_image("a lynx", **wrong)


async def test_a_workflow_file_is_used_with_the_values_of_the_call(server, tmp_path):
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(graph(width=512, steps=20)))
    async with ComfyClient(server.url, default_workflow=path) as client:
        data = await client.generate_image("a fox", width=72, height=80, steps=1, seed=3)
    assert opened(data).size == (72, 80)


async def test_which_checkpoint_is_asked_when_there_are_several(tmp_path):
    with comfyui(
        tmp_path, models=dict.fromkeys(["checkpoints/a.safetensors", "checkpoints/b.safetensors"])
    ) as server:
        async with ComfyClient(server.url) as client:
            with pytest.raises(ComfyError, match=r"a\.safetensors, b\.safetensors: give a default_workflow"):
                await client.generate_image("a lynx")


async def test_the_events_of_a_prompt_come_in_order(client):
    heard = Heard()
    [picture] = await client.run(graph(steps=3), on_event=heard)
    assert heard[0] == Started()
    assert isinstance(heard[-1], Finished)
    assert [event for event in heard if isinstance(event, Progress)] == [
        Progress("5", step, 3) for step in (1, 2, 3)
    ]
    assert Executing(picture.node) in heard
    assert picture.subfolder == "test"
    assert opened(picture.data).size == (64, 64)


@pytest.mark.parametrize("flags", [feed._FLAGS, "{}"])
async def test_previews_come_while_it_runs_with_the_prompts_id_and_without(server, monkeypatch, flags):
    monkeypatch.setattr(feed, "_FLAGS", flags)
    heard = Heard()
    async with ComfyClient(server.url) as client:
        await client.run(graph(steps=3), on_event=heard)
    previews = [event for event in heard if isinstance(event, Preview)]
    assert len(previews) == 3
    assert {opened(preview.data).format.lower() for preview in previews} == {previews[0].format}


async def test_prompts_at_once_over_one_client_keep_their_events_apart(client):
    ears = [Heard() for _ in range(4)]
    await asyncio.gather(*(client.run(graph(steps=n + 1), on_event=ear) for n, ear in enumerate(ears)))
    for n, heard in enumerate(ears):
        assert [event.max for event in heard if isinstance(event, Progress)] == [n + 1] * (n + 1)


async def test_a_batch_is_as_many_pictures(client):
    first, second = await client.run(graph(batch=2))
    assert first.filename != second.filename
    assert opened(first.data).tobytes() != opened(second.data).tobytes()


async def test_what_is_only_shown_is_returned_if_nothing_is_saved(client):
    shown = graph()
    saver = next(node for node in shown.values() if node["class_type"] == "SaveImage")
    shown["99"] = {"class_type": "PreviewImage", "inputs": {"images": saver["inputs"]["images"]}}
    assert [picture.node for picture in await client.run(shown)] != ["99"]
    saver["class_type"] = "PreviewImage"
    del shown["99"], saver["inputs"]["filename_prefix"]
    assert len(await client.run(shown)) == 1


async def test_a_graph_that_does_not_fit_is_rejected_with_node_and_input(client):
    with pytest.raises(Rejected) as caught:
        await client.run(graph(models=Models(checkpoint="absent.safetensors"), width=8))
    missing, narrow = caught.value.problems
    assert missing == Problem(
        "1", "CheckpointLoaderSimple", "ckpt_name", "value_not_in_list", missing.message
    )
    assert "absent.safetensors" in missing.message
    assert (narrow.class_type, narrow.input, narrow.kind) == (
        "EmptyLatentImage",
        "width",
        "value_smaller_than_min",
    )
    assert await client.queue() == []


@pytest.mark.parametrize(
    ("wrong", "kind", "word"),
    [
        ({"1": {"class_type": "Nope", "inputs": {}}}, "invalid_prompt", r"node 1 \(Nope\)"),
        ({}, "prompt_no_outputs", "no outputs"),
        ({"nodes": [], "links": []}, "invalid_prompt", "missing the class_type"),
        ({"last_node_id": 9, "nodes": [], "links": []}, "500", "a graph in API format"),
    ],
)
async def test_what_is_no_graph_is_rejected_whole(client, wrong, kind, word):
    with pytest.raises(Rejected, match=word) as caught:
        await client.run(wrong)
    assert [problem.kind for problem in caught.value.problems] == [kind]


async def test_a_graph_of_which_only_a_part_fits_is_rejected_and_no_part_stays_in_the_queue(slow):
    half = graph(steps=200)
    half["99"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}
    prompt_id = str(uuid.uuid4())
    with pytest.raises(Rejected) as caught:
        await slow.run(half, prompt_id=prompt_id)
    assert [(each.node, each.input, each.kind) for each in caught.value.problems] == [
        ("99", "images", "required_input_missing")
    ]
    with pytest.raises((Gone, Interrupted)):
        await slow.resume(prompt_id)


async def test_a_node_that_fails_is_named(client):
    escaping = graph()
    escaping["7"]["inputs"]["filename_prefix"] = "../../escaped"
    with pytest.raises(ExecutionFailed, match="outside the output folder") as caught:
        await client.run(escaping)
    assert (caught.value.node, caught.value.class_type) == ("7", "SaveImage")


async def test_too_little_memory_is_told_apart_and_the_next_prompt_runs(client):
    with pytest.raises(OutOfMemory):
        await client.run(graph(width=16384, height=16384))
    assert await client.run(graph())


async def test_a_prompt_hears_its_place_in_the_queue(slow):
    first, second, third = Heard(), Heard(), Heard()
    running = asyncio.create_task(slow.run(graph(steps=20), on_event=first))
    await first.of(Started)
    ids = [str(uuid.uuid4()) for _ in range(2)]
    waiting = []
    for prompt_id, heard in zip(ids, (second, third), strict=True):
        waiting.append(asyncio.create_task(slow.run(graph(steps=1), prompt_id=prompt_id, on_event=heard)))
        await heard.of(Queued)
    assert [await slow.position(each) for each in ids] == [1, 2]
    assert (await slow.queue())[1:] == ids
    await asyncio.gather(running, *waiting)
    assert second[0] == Queued(1)
    assert third[0] == Queued(2)
    assert await slow.position(ids[0]) is None


async def test_cancelling_takes_a_waiting_prompt_out_and_stops_a_running_one(slow):
    heard = Heard()
    ids = [str(uuid.uuid4()) for _ in range(2)]
    running = asyncio.create_task(slow.run(graph(steps=500), prompt_id=ids[0], on_event=heard))
    await heard.of(Progress)
    behind = Heard()
    waiting = asyncio.create_task(slow.run(graph(), prompt_id=ids[1], on_event=behind))
    await behind.of(Queued)
    await slow.cancel(ids[1])
    with pytest.raises(Gone, match=ids[1]):
        await waiting
    assert not running.done()
    await slow.cancel(ids[0])
    with pytest.raises(Interrupted, match="KSampler"):
        await running
    assert isinstance(heard[-1], Finished)


async def test_after_the_deadline_the_prompt_goes_on_and_can_be_resumed(slow):
    prompt_id = str(uuid.uuid4())
    with pytest.raises(TooSlow, match=r"longer than 0\.2 s"):
        await slow.run(graph(steps=8), prompt_id=prompt_id, deadline=0.2)
    async with ComfyClient(slow._base_url) as another:
        heard = Heard()
        assert len(await another.resume(prompt_id, on_event=heard, deadline=math.inf)) == 1
        assert heard == [Started(), Finished(heard[-1].started, heard[-1].seconds)]
        assert heard[-1].seconds > 0


async def test_the_guides_call_cancels_what_is_too_slow(slow_server):
    async with ComfyClient(slow_server.url, deadline=0.3) as client:
        with pytest.raises(TooSlow):
            await client.generate_image("a lynx", width=64, height=64, steps=1000)
        async with asyncio.timeout(5):
            while await client.queue():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_cancelled_task_leaves_nothing_behind_but_its_prompt(slow):
    before = asyncio.all_tasks()
    async with ComfyClient(slow._base_url) as client:
        heard, prompt_id = Heard(), str(uuid.uuid4())
        task = asyncio.create_task(client.run(graph(steps=10), prompt_id=prompt_id, on_event=heard))
        await heard.of(Progress)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        told = len(heard)
        assert await client.position(prompt_id) == 0
        assert await client.resume(prompt_id)
        assert len(heard) == told
    assert asyncio.all_tasks() == before


async def test_an_image_is_uploaded_and_one_of_a_taken_name_gets_another(client):
    def png(colour):
        file = io.BytesIO()
        Image.new("RGB", (64, 64), colour).save(file, "PNG")
        return file.getvalue()

    red, blue = [await client.upload_image("start.png", png(colour)) for colour in ("red", "blue")]
    assert red == await client.upload_image("start.png", png("red")) == "start.png"
    assert blue == "start (1).png"
    wanted = {"prompt": "a lynx", "width": 64, "height": 64, "steps": 1, "seed": 1, "denoise": 0.1}
    made = [
        (await client.run(image_to_image(MODELS, ImageToImage(image=name, **wanted), f"i2i/{name}")))[0].data
        for name in (red, blue)
    ]
    assert made[0] != made[1]


async def test_a_file_that_was_deleted_is_gone(client, server):
    twice = graph()
    [picture] = await client.run(twice)
    (server.folder / "output" / picture.subfolder / picture.filename).unlink()
    with pytest.raises(Gone, match=picture.filename):
        await client.run(twice)


async def test_a_prompt_that_is_forgotten_is_in_the_history_no_more(client):
    prompt_id = str(uuid.uuid4())
    await client.run(graph(), prompt_id=prompt_id)
    assert await client.resume(prompt_id)
    await client.forget(prompt_id)
    with pytest.raises(Gone):
        await client.resume(prompt_id)


async def test_the_server_tells_of_itself(client):
    assert validate(graph(), await client.object_info()) == []
    assert "comfyui_version" in (await client.system_stats())["system"]
    await client.free()
    assert await client.run(graph())
