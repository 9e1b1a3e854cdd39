"""What goes wrong behind the gateway: no accepted job is lost, and none that was made is made again."""

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest
from comfy_server import comfyui
from gateway_server import MODELS, SMALL, Gateway, gateway, gateway_process, until

from comfy.workflows import Models, catalogue

LITTLE = 2200
"""MiB that hold 256x256, and no two megapixels."""


@pytest.fixture
def little_memory(tmp_path) -> Iterator[Gateway]:
    with (
        comfyui(tmp_path / "gateway/comfyui", vram=LITTLE) as behind,
        gateway(tmp_path / "gateway", behind.url) as one,
    ):
        yield one


def ready(one: Gateway) -> bool:
    return one.client.get("/ready").status_code == 200


def started(one: Gateway) -> float | None:
    """When the newest job started."""
    jobs = one.client.get("/jobs").json()["jobs"]
    return jobs[0]["started"] if jobs else None


def kill_worker(comfyui_url: str) -> None:
    """Post what ComfyUI accepts and its worker dies of."""
    empty = {"width": 16, "height": 16, "batch_size": 1, "color": 0}
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    httpx.post(f"{comfyui_url}/prompt", json={"prompt": graph, "extra_data": None}).raise_for_status()


def test_a_gateway_that_is_killed_loses_no_accepted_job_and_runs_none_twice(slow_comfy, tmp_path) -> None:
    with gateway_process(tmp_path, slow_comfy.url) as (one, process):
        done = one.post(headers={"Accept": "application/json"}).json()
        jobs = [one.submit(steps=6, headers={"Idempotency-Key": f"{number}"}) for number in range(4)]
        one.until(jobs[0]["id"], "running")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with gateway(tmp_path, slow_comfy.url) as one:
        assert one.client.get(f"/jobs/{done['id']}").json() == done
        assert one.client.get(done["images"][0]["url"]).status_code == 200
        ended = [one.until(job["id"], "done", "failed") for job in jobs]
        assert [job["state"] for job in ended] == ["done"] * 4
        assert [len(job["images"]) for job in ended] == [1] * 4
        again = one.submit(steps=6, headers={"Idempotency-Key": "2"})
        assert again["id"] == jobs[2]["id"]
    saved = [path.stat().st_mtime for path in (slow_comfy.folder / "output").rglob("*.png")]
    assert len([each for each in saved if each > jobs[0]["created"]]) == 4 + 1  # the warm-up of the second


def test_a_job_that_ran_while_no_gateway_did_has_its_time_and_cost(slow_comfy, tmp_path) -> None:
    with gateway(tmp_path, slow_comfy.url) as one:
        jobs = [one.submit(steps=5) for _ in range(2)]
        one.until(jobs[0]["id"], "running")
        until(lambda: httpx.get(f"{slow_comfy.url}/queue").json()["queue_pending"])
    until(lambda: not httpx.get(f"{slow_comfy.url}/queue").json()["queue_running"])
    with gateway(tmp_path, slow_comfy.url) as one:
        found = one.until(jobs[1]["id"], "done", "failed")
        assert 0.5 <= found["seconds"] < 2
        assert found["cost"] == pytest.approx(found["seconds"] * 0.36 / 3600)
        assert 0 < found["started"] - jobs[1]["created"] < found["finished"] - jobs[1]["created"]


@pytest.mark.parametrize("state", ["done", "cancelled"])
def test_an_end_that_cannot_be_kept_ends_the_gateway_which_goes_on_with_the_job(
    slow_comfy, tmp_path, state: str
) -> None:
    with gateway_process(tmp_path, slow_comfy.url) as (one, process):
        trigger = f"TRIGGER full BEFORE UPDATE ON jobs WHEN new.state = '{state}'"
        with closing(sqlite3.connect(tmp_path / "data/queue.db")) as file:
            file.execute(f"CREATE {trigger} BEGIN SELECT RAISE(ABORT, 'full'); END")
        if state == "done":
            answer = one.post()
            assert answer.status_code == 502
            message = "the gateway's disk fails; once it is started again, the job goes on"
            assert answer.json() == {"error": {"type": "comfyui-failed", "message": message}}
        else:
            id_ = one.submit(steps=10)["id"]
            one.until(id_, "running")
            assert one.client.delete(f"/jobs/{id_}").json()["state"] == "failed"
        process.wait(15)
    with closing(sqlite3.connect(tmp_path / "data/queue.db")) as file:
        file.execute("DROP TRIGGER full")
        [id_] = next(file.execute("SELECT id FROM jobs"))
    with gateway(tmp_path, slow_comfy.url) as one:
        assert one.until(id_, "done", "failed")["state"] == "done"


def test_jobs_go_on_when_comfyui_is_killed_and_started_again(tmp_path) -> None:
    with comfyui(tmp_path / "comfyui", step=0.1) as behind, gateway(tmp_path / "gateway", behind.url) as one:
        jobs = [one.submit(steps=6) for _ in range(3)]
        one.until(jobs[0]["id"], "running")
        behind.process.kill()
        behind.process.wait()
        until(lambda: not ready(one))
        answer = one.post()
        assert answer.status_code == 503
        assert answer.json()["error"]["type"] == "not-ready"
        assert answer.headers["retry-after"] == "5"
        assert one.client.get("/health").status_code == 503
        assert one.client.get("/ready").json() == answer.json()
        behind.restart()
        ended = [one.until(job["id"], "done", "failed") for job in jobs]
        assert [job["state"] for job in ended] == ["done"] * 3
        assert one.client.get("/health").status_code == 200


def test_a_job_that_kills_comfyui_twice_is_given_up(tmp_path) -> None:
    with comfyui(tmp_path / "comfyui", step=0.1) as behind, gateway(tmp_path / "gateway", behind.url) as one:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(one.post, steps=150)
            first = until(lambda: started(one))
            behind.restart()
            until(lambda: started(one) not in {None, first})
            behind.restart()
            answer = waiting.result()
        message = "ComfyUI ended 2 times while it made this"
        assert answer.json() == {"error": {"type": "comfyui-failed", "message": message}}
        assert answer.status_code == 502
        until(lambda: ready(one))
        assert one.post().status_code == 200


def test_a_dead_worker_that_still_answers_is_noticed_and_ended(tmp_path) -> None:
    with comfyui(tmp_path / "comfyui") as behind:
        pid_file = tmp_path / "comfyui.pid"
        pid_file.write_text(str(behind.process.pid))
        settings = {"stall": 0.2, "timeout": 3, "comfyui_pid_file": pid_file}
        with gateway(tmp_path / "gateway", behind.url, **settings) as one:
            kill_worker(behind.url)
            job = one.submit()
            behind.process.wait(10)
            assert behind.process.returncode == -signal.SIGTERM
            answer = until(lambda: (found := one.client.get("/health")).status_code == 503 and found)
            assert answer.json()["error"]["type"] == "not-ready"
            assert "gateway_comfyui_restarts_total 1.0" in one.client.get("/metrics").text
            behind.restart()
            assert one.until(job["id"], "done", "failed")["state"] == "done"


def test_a_dead_worker_is_reported_where_nobody_can_end_it(tmp_path) -> None:
    with (
        comfyui(tmp_path / "comfyui") as behind,
        gateway(tmp_path / "gateway", behind.url, stall=0.1, timeout=0.4) as one,
    ):
        assert one.client.get("/health").status_code == 200
        kill_worker(behind.url)
        one.submit()
        answer = until(lambda: (found := one.client.get("/health")).status_code == 503 and found)
        assert "ComfyUI's worker is dead: it has work, and nothing has happened for" in answer.text
        assert one.post().status_code == 503
        time.sleep(0.7)
        assert one.client.get("/health").status_code == 503


def test_a_job_that_falls_silent_ends_comfyui_but_the_first_image_may_load_its_models(tmp_path) -> None:
    with comfyui(tmp_path / "comfyui", step=0.7) as behind:
        pid_file = tmp_path / "comfyui.pid"
        pid_file.write_text(str(behind.process.pid))
        settings = {"stall": 0.3, "comfyui_pid_file": pid_file}
        with gateway(tmp_path / "gateway", behind.url, **settings) as one:
            assert "gateway_comfyui_restarts_total 0.0" in one.client.get("/metrics").text
            one.submit()
            assert behind.process.wait(10) == -signal.SIGTERM


def test_a_run_from_comfyuis_own_page_may_be_silent(tmp_path) -> None:
    with comfyui(tmp_path / "comfyui", step=0.05) as behind:
        pid_file = tmp_path / "comfyui.pid"
        pid_file.write_text(str(behind.process.pid))
        settings = {"stall": 0.3, "comfyui_pid_file": pid_file}
        with gateway(tmp_path / "gateway", behind.url, **settings) as one:
            found = catalogue(Models(checkpoint="sd.safetensors"))["text-to-image"]
            parameters = found.parameters.model_validate({"prompt": "x", "seed": 1, **SMALL, "steps": 25})
            graph = found.build(parameters, "by hand")
            httpx.post(f"{behind.url}/prompt", json={"prompt": graph}).raise_for_status()
            assert one.post().status_code == 200
            assert "gateway_comfyui_restarts_total 0.0" in one.client.get("/metrics").text


def test_a_job_of_a_gateway_that_was_restarted_may_be_silent(tmp_path) -> None:
    with comfyui(tmp_path / "comfyui", step=0.05) as behind:
        pid_file = tmp_path / "comfyui.pid"
        pid_file.write_text(str(behind.process.pid))
        settings = {"stall": 0.3, "comfyui_pid_file": pid_file}
        with gateway(tmp_path / "gateway", behind.url, **settings) as one:
            job = one.submit(steps=30)
            one.until(job["id"], "running")
        with gateway(tmp_path / "gateway", behind.url, **settings) as one:
            assert one.until(job["id"], "done", "failed")["state"] == "done"
            assert "gateway_comfyui_restarts_total 0.0" in one.client.get("/metrics").text


def test_models_that_are_missing_are_named_before_anything_is_accepted(comfy, tmp_path) -> None:
    models = {"checkpoint": "sd.safetensors", "loras": {"gone": "gone.safetensors"}}
    with gateway(tmp_path, comfy.url, models=models, ready=False) as one:
        answer = until(lambda: "gone.safetensors" in (found := one.client.get("/ready")).text and found)
        assert answer.status_code == 503
        assert answer.json()["error"]["message"].startswith("ComfyUI does not have all that is needed: ")
        assert one.client.get("/health").status_code == 200
        found = one.post()
        assert (found.status_code, found.json()) == (503, answer.json())


def test_a_model_that_goes_missing_fails_the_job_by_its_name(tmp_path) -> None:
    with (
        comfyui(tmp_path / "comfyui") as behind,
        gateway(tmp_path / "gateway", behind.url, models=MODELS) as one,
    ):
        (behind.folder / "models/loras/papercut.safetensors").unlink()
        answer = one.post()
        assert answer.status_code == 502
        error = answer.json()["error"]
        assert error["type"] == "comfyui-failed"
        assert error["message"].startswith("ComfyUI refused it: LoraLoader: ")
        assert "papercut.safetensors" in error["message"]
        assert one.post(loras={}).status_code == 200


def test_what_the_gpu_cannot_hold_is_said_so_and_the_next_job_runs(little_memory: Gateway) -> None:
    answer = little_memory.post(width=2048, height=1024)
    assert answer.status_code == 507
    message = "the GPU's memory does not hold this: ask for a smaller size or batch"
    assert answer.json() == {"error": {"type": "out-of-memory", "message": message}}
    assert little_memory.post().status_code == 200


def test_memory_that_another_workflow_may_have_filled_is_freed_once(little_memory: Gateway) -> None:
    log = little_memory.folder / "comfyui/log.txt"
    data = little_memory.post().content
    upload = little_memory.client.post("/uploads", content=data, headers={"Content-Type": "image/png"}).json()
    failures = [0]
    for _ in range(2):
        large = little_memory.post(workflow="image-to-image", image=upload["image"], width=2048, height=1024)
        assert large.status_code == 507
        failures.append(log.read_text().count("would exceed allowed memory"))
    first, second = failures[1], failures[2] - failures[1]
    assert first == 2 * second > 0


def test_a_restart_with_other_settings_keeps_what_was_accepted(slow_comfy, tmp_path) -> None:
    with gateway(tmp_path, slow_comfy.url) as one:
        jobs = [one.submit(steps=8, loras={}) for _ in range(3)]
        one.until(jobs[0]["id"], "running")
    with gateway(tmp_path, slow_comfy.url, models={"checkpoint": "sd.safetensors"}, queue=1) as one:
        assert [one.until(job["id"], "done", "failed")["state"] for job in jobs] == ["done"] * 3
    assert json.loads((tmp_path / "catalogue.json").read_text())["models"] == {"checkpoint": "sd.safetensors"}
