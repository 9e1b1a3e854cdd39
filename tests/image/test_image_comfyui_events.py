"""The stand-in ComfyUI's queue, its websockets, and their traps, as they were recorded from the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfy_prompts import IMAGE, TEXT, Comfy, changed, heard, short
from comfy_server import comfyui


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comfy]:
    with comfyui(tmp_path_factory.mktemp("comfyui")) as server:
        yield Comfy(server.url)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comfy]:
    with comfyui(tmp_path_factory.mktemp("comfyui"), "--preview-method", "none", step=0.02) as server:
        yield Comfy(server.url)


def test_a_prompt_is_told_in_the_recorded_order(fast: Comfy) -> None:
    with fast.listen("order") as socket:
        fast.post(changed(TEXT, n2_text="order"), client_id="order")
        told = heard(socket)
        assert told[:5] == ["status 0", "status 1", "status 1", "execution_start", "cached"]
        loaders = ["1", "5", "3", "2"]
        assert told[5:17] == [
            word
            for node in loaders
            for word in (f"running {node} 0/1", f"executing {node}", f"finished {node} 1/1")
        ]
        steps = [word for n in (1, 2, 3) for word in (f"running 4 {n}/3", f"progress 4 {n}/3", "binary 1")]
        assert told[17:] == [
            *("running 4 0/1", "executing 4", *steps, "finished 4 3/3"),
            *("running 6 0/1", "executing 6", "finished 6 1/1"),
            *("running 7 0/1", "executing 7", "executed 7 t2i_00001_.png", "finished 7 1/1"),
            *("execution_success", "status 0", "executing null"),
        ]
        fast.post(changed(TEXT, n2_text="order", n4_seed=7), client_id="order")
        assert heard(socket)[3] == "cached 1 2 3 5", "only what another seed changes runs again"


def test_who_understands_metadata_gets_previews_with_it_and_before_the_step(fast: Comfy) -> None:
    with fast.listen("flagged") as socket:
        flags = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
        socket.send(json.dumps(flags))
        assert [short(socket.recv()), short(socket.recv())] == ["status 0", "feature_flags"]
        fast.post(changed(TEXT, n2_text="flags"), client_id="flagged")
        frames = []
        while not frames or short(frames[-1]) != "executing null":
            frames.append(socket.recv(timeout=10))
    words = [short(frame) for frame in frames]
    assert words[words.index("running 4 1/3") + 1 :][:2] == ["binary 4", "progress 4 1/3"]
    preview = next(frame for frame in frames if isinstance(frame, bytes))
    length = int.from_bytes(preview[4:8])
    about = json.loads(preview[8 : 8 + length])
    assert (about["node_id"], about["image_type"]) == ("4", "image/jpeg")
    assert preview[8 + length :].startswith(b"\xff\xd8\xff")


def test_an_equal_graph_gives_the_old_file_even_if_it_is_gone(fast: Comfy) -> None:
    graph = changed(IMAGE, n2_filename_prefix="same", n1_color=99)
    first = fast.run(graph)
    with fast.listen("again") as socket:
        fast.post(graph, client_id="again")
        assert heard(socket) == [
            *("status 0", "status 1", "status 1", "execution_start", "cached 1 2"),
            *(
                "executed 2 same_00001_.png",
                "finished 2 1/1",
                "execution_success",
                "status 0",
                "executing null",
            ),
        ]
    other = fast.run(changed(graph, n2_filename_prefix="other"))
    assert first["outputs"]["2"] != other["outputs"]["2"]
    assert other["status"]["messages"][1][1]["nodes"] == ["1"], "only the saving was new"


def test_pictures_over_the_socket_leave_no_outputs(fast: Comfy) -> None:
    graph = {"1": IMAGE["1"], "2": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["1", 0]}}}
    with fast.listen("png") as socket:
        prompt = fast.post(graph, client_id="png").json()["prompt_id"]
        frames = []
        while not frames or short(frames[-1]) != "executing null":
            frames.append(socket.recv(timeout=10))
    pictures = [frame for frame in frames if isinstance(frame, bytes)]
    assert [frame[:16] for frame in pictures] == [b"\0\0\0\1\0\0\0\2\x89PNG\r\n\x1a\n"]
    entry = fast.ended(prompt)
    assert (entry["outputs"], entry["status"]["status_str"]) == ({}, "success")


def test_others_hear_the_status_only_unless_a_prompt_has_no_client(fast: Comfy) -> None:
    with fast.listen("mine") as mine, fast.listen("other") as other:
        fast.run(changed(IMAGE, n1_color=1), client_id="mine")
        heard(mine)
        fast.run(changed(IMAGE, n1_color=2))
        words = heard(other, "finished 2 1/1")
    assert words[:4] == ["status 0", "status 1", "status 1", "status 0"]
    assert "running 1 0/1" in words
    assert not {"execution_start", "executing 1", "execution_success"} & set(words)


def test_a_second_socket_of_one_id_goes_deaf_when_the_first_closes(fast: Comfy) -> None:
    with fast.listen("twice") as first, fast.listen("twice") as second, fast.listen("witness") as witness:
        assert short(first.recv(timeout=5)) == short(second.recv(timeout=5)) == "status 0"
        first.close()
        fast.run(changed(IMAGE, n1_color=3), client_id="twice")
        assert heard(witness, "status 1")
        with pytest.raises(TimeoutError):
            second.recv(timeout=0.2)


def test_who_comes_back_is_told_the_node_but_not_the_prompt(slow: Comfy) -> None:
    with slow.listen("back") as socket:
        prompt = slow.post(changed(TEXT, n4_steps=30), client_id="back").json()["prompt_id"]
        heard(socket, "progress 4 1/30")
    with slow.listen("back") as socket:
        assert short(socket.recv(timeout=5)) == "status 1"
        assert json.loads(socket.recv(timeout=5)) == {"type": "executing", "data": {"node": "4"}}
    slow.http.post("/interrupt", json={"prompt_id": prompt})
    slow.ended(prompt)


def test_an_interrupt_ends_the_prompt_that_is_meant(slow: Comfy) -> None:
    with slow.listen("stop") as socket:
        prompt = slow.post(changed(TEXT, n4_steps=500), client_id="stop").json()["prompt_id"]
        heard(socket, "progress 4 1/500")
        slow.http.post("/interrupt", json={"prompt_id": "another"})
        heard(socket, "progress 4 3/500")
        assert slow.http.post("/interrupt", json={"prompt_id": prompt}).status_code == 200
        assert heard(socket)[-3:] == ["execution_interrupted", "status 0", "executing null"]
    entry = slow.ended(prompt)
    assert (entry["status"]["status_str"], entry["outputs"]) == ("error", {})
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


def test_the_queue_runs_by_number_and_what_waits_can_be_taken_out(slow: Comfy) -> None:
    running = slow.post(changed(TEXT, n4_steps=500)).json()["prompt_id"]
    numbers = [{}, {"number": 0.5}, {"front": True}, {"number": 9e9}]
    ids = [slow.post(changed(TEXT, n4_seed=n), **more).json()["prompt_id"] for n, more in enumerate(numbers)]
    waiting = slow.http.get("/queue").json()["queue_pending"]
    assert [item[1] for item in sorted(waiting, key=lambda item: item[0])] == [ids[2], ids[1], ids[0], ids[3]]
    assert slow.http.get("/history/" + ids[0]).json() == {}
    assert slow.http.get("/prompt").json() == {"exec_info": {"queue_remaining": 5}}
    assert slow.http.post("/queue", json={"delete": [ids[1], "unknown", running]}).status_code == 200
    assert slow.http.get("/prompt").json() == {"exec_info": {"queue_remaining": 4}}, "the running one stays"
    slow.http.post("/queue", json={"clear": True})
    slow.http.post("/interrupt")
    assert slow.ended(running)["status"]["completed"] is False
    assert slow.http.get("/queue").json() == {"queue_running": [], "queue_pending": []}
    assert slow.http.get("/history/" + ids[0]).json() == {}, "what was taken out never ran"


def test_a_prompt_without_extra_data_kills_the_worker_and_nothing_else(tmp_path: Path) -> None:
    with comfyui(tmp_path) as server:
        comfy = Comfy(server.url)
        assert comfy.post(IMAGE, extra_data=None).status_code == 200
        assert comfy.post(IMAGE).status_code == 200
        assert comfy.http.get("/system_stats").status_code == 200
        queue = comfy.http.get("/queue").json()
        assert (len(queue["queue_running"]), len(queue["queue_pending"])) == (1, 1)
        assert "TypeError" in server.log()
        server.restart()
        assert comfy.run(IMAGE)["status"]["completed"], "a restart helps, and forgets the queue"
        assert len(comfy.http.get("/history").json()) == 1


def test_history_can_be_cut_and_forgotten(fast: Comfy) -> None:
    ids = [fast.post(changed(IMAGE, n1_color=n)).json()["prompt_id"] for n in range(200, 203)]
    fast.ended(ids[-1])
    assert list(fast.http.get("/history", params={"max_items": 2}).json()) == ids[1:]
    fast.http.post("/history", json={"delete": [ids[1]]})
    assert fast.http.get(f"/history/{ids[1]}").json() == {}
    fast.http.post("/history", json={"clear": True})
    assert fast.http.get("/history").json() == {}
    assert fast.http.get("/history", params={"max_items": "abc"}).status_code == 500
    assert fast.http.post("/queue").status_code == 500
