"""The client when the server or the way to it fails: no prompt is lost, and none runs twice."""

import asyncio
import logging
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from comfy_client_proxy import proxy
from comfy_server import comfyui

from comfy import client as client_module
from comfy.client import ComfyClient
from comfy.errors import Gone, Unreachable
from comfy.events import Finished, Progress, Started
from comfy.parameters import TextToImage
from comfy.workflows import Models, text_to_image

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with comfyui(tmp_path_factory.mktemp("comfyui"), step=0.05) as found:
        yield found


def graph(steps=2):
    wanted = TextToImage(prompt="a lynx", width=64, height=64, steps=steps, seed=1)
    return text_to_image(Models(checkpoint="sd.safetensors"), wanted, f"test/{uuid.uuid4()}")


async def started(client, prompt_id=None, **settings):
    """Begin a prompt and return its task once it runs."""
    begun = asyncio.Event()
    heard = []

    def hear(event):
        heard.append(event)
        if isinstance(event, Progress):
            begun.set()

    task = asyncio.create_task(client.run(graph(**settings), prompt_id=prompt_id, on_event=hear))
    async with asyncio.timeout(10):
        await begun.wait()
    return task, heard


async def test_a_lost_answer_runs_the_prompt_once(server):
    async with proxy(server.url) as between, ComfyClient(between.url) as client:
        between.lose_answers = 1
        assert len(await client.run(graph())) == 1
        assert between.prompts == 1


async def test_a_lost_request_is_sent_again(server):
    async with proxy(server.url) as between, ComfyClient(between.url) as client:
        between.lose_requests = 2
        assert len(await client.run(graph())) == 1
        assert between.prompts == 1


async def test_requests_that_are_lost_again_and_again_are_given_up(server):
    async with proxy(server.url) as between, ComfyClient(between.url) as client:
        between.lose_requests = 99
        prompt_id = str(uuid.uuid4())
        with pytest.raises(Unreachable, match="POST /prompt"):
            await client.run(graph(), prompt_id=prompt_id)
        with pytest.raises(Gone):
            await client.resume(prompt_id)


async def test_a_websocket_that_is_cut_costs_progress_but_no_picture(server):
    async with proxy(server.url) as between, ComfyClient(between.url) as client:
        prompt_id = str(uuid.uuid4())
        task, heard = await started(client, steps=20, prompt_id=prompt_id)
        assert client.hears(prompt_id)
        await between.cut_websockets()
        assert len(await task) == 1
        assert not client.hears(prompt_id)
        assert isinstance(heard[-1], Finished)
        assert heard.count(Started()) == 1
        assert not any(isinstance(event, Progress) and event.value == 20 for event in heard)
        task, heard = await started(client, steps=2)
        assert len(await task) == 1
        assert any(isinstance(event, Progress) and event.value == 2 for event in heard)


async def test_events_that_come_after_the_history_are_told_all_the_same(server):
    async with proxy(server.url) as between, ComfyClient(between.url) as client:
        await client.run(graph())
        between.hold()
        heard = []
        await client.run(graph(steps=3), on_event=heard.append)
        assert [event.value for event in heard if isinstance(event, Progress)] == [1, 2, 3]
        assert isinstance(heard[-1], Finished)
        assert heard.count(Started()) == 1


async def test_without_any_websocket_pictures_are_made_all_the_same(server, caplog):
    async with proxy(server.url) as between, ComfyClient(between.url) as client:
        between.refuse_websockets = True
        heard = []
        with caplog.at_level(logging.WARNING):
            assert len(await client.run(graph(), on_event=heard.append)) == 1
        assert isinstance(heard[-1], Finished)
        assert "no websocket" in caplog.text


async def test_a_server_that_is_killed_is_unreachable_until_it_is_back(tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "_PATIENCE_SECONDS", 0.3)
    with comfyui(tmp_path, step=0.05) as server:
        async with ComfyClient(server.url) as client:
            task, _ = await started(client, steps=1000)
            server.process.kill()
            with pytest.raises(Unreachable, match="does it run"):
                await task
            with pytest.raises(Unreachable):
                await client.queue()
            server.restart()
            assert len(await client.run(graph())) == 1


async def test_a_restart_during_a_prompt_leaves_it_gone(tmp_path):
    with comfyui(tmp_path, step=0.05) as server:
        async with ComfyClient(server.url) as client:
            task, _ = await started(client, steps=1000)
            await asyncio.to_thread(server.restart)
            with pytest.raises(Gone, match="run it again"):
                await task


async def test_nobody_at_the_address_is_said_with_the_address():
    async with ComfyClient("http://user:secret@127.0.0.1:9") as client:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9 .*does it run") as caught:
            await client.run(graph())
        assert "secret" not in str(caught.value)


class _Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>a web page</html>")

    def log_message(self, *_):
        pass


async def test_another_server_at_the_address_is_recognised():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as page:
        Thread(target=page.serve_forever, daemon=True).start()
        async with ComfyClient(f"http://127.0.0.1:{page.server_port}") as client:
            with pytest.raises(Unreachable, match="another server"):
                await client.queue()
        page.shutdown()
