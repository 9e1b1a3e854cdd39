"""The queue: its order and bounds, jobs that are asked for twice, and jobs that nobody wants any more."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from gateway_server import SMALL, Gateway, client, gateway, until

from gateway.auth import Tokens
from gateway.errors import RateLimited


def prompts(slow: Gateway) -> int:
    """How many jobs there are."""
    return len(slow.client.get("/jobs").json()["jobs"])


def test_jobs_run_in_order_and_know_their_place(slow: Gateway) -> None:
    jobs = [slow.submit(steps=steps) for steps in (20, 3, 3, 3)]
    places = [slow.client.get(f"/jobs/{job['id']}").json()["position"] for job in jobs]
    assert places[1:] == [1, 2, 3]
    assert places[0] in {0, None}
    moved = [data["position"] for kind, data in slow.events(jobs[3]["id"]) if kind == "queued"]
    assert moved in ([3, 2, 1], [3, 2, 1, 0])  # between its turn and its start, nothing is before it
    ended = [slow.until(job["id"], "done")["finished"] for job in jobs]
    assert ended == sorted(ended)


def test_two_jobs_are_at_comfyui_so_that_it_never_idles(slow: Gateway, slow_comfy) -> None:
    jobs = [slow.submit(steps=4) for _ in range(3)]
    slow.until(jobs[0]["id"], "running")
    queue = httpx.get(f"{slow_comfy.url}/queue").json()
    assert (len(queue["queue_running"]), len(queue["queue_pending"])) == (1, 1)
    for job in jobs:
        slow.until(job["id"], "done")


def test_a_full_queue_says_when_to_come_again(slow_comfy, tmp_path) -> None:
    with gateway(tmp_path, slow_comfy.url, queue=2) as one:
        first = one.submit(steps=8)
        one.until(first["id"], "running")
        waiting = [one.submit(headers={"Idempotency-Key": f"key {number}"}) for number in range(2)]
        for path in ("/generate", "/jobs"):
            answer = one.post(path)
            assert answer.status_code == 429
            wait = int(answer.headers["retry-after"])
            message = f"2 jobs wait, as many as may: try again in {wait} s"
            assert answer.json() == {"error": {"type": "queue-full", "message": message}}
        again = one.post("/jobs", headers={"Idempotency-Key": "key 1"})
        assert (again.status_code, again.json()["id"]) == (202, waiting[1]["id"])
        for job in (first, *waiting):
            one.client.delete(f"/jobs/{job['id']}")


def test_a_flood_is_turned_away_for_each_token_by_itself(comfy, tmp_path) -> None:
    with gateway(tmp_path, comfy.url, rate=3) as one:
        answers = [one.post("/jobs") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
        wait = int(answers[3].headers["retry-after"])
        assert 1 <= wait <= 20
        message = f"more than 3 requests in a minute: wait {wait} s"
        assert answers[3].json() == {"error": {"type": "rate-limited", "message": message}}
        assert one.client.get("/jobs").status_code == 200
        assert one.as_("robot").post("/jobs", json={"prompt": "a fox", **SMALL}).status_code == 202


def test_what_was_spent_comes_back_with_time(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokens").write_text(f"artist:{'0' * 64}\n")
    tokens = Tokens(tmp_path / "tokens", 60)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in range(60):
        tokens.spend("artist")
    with pytest.raises(RateLimited):
        tokens.spend("artist")
    now += 1.01
    tokens.spend("artist")
    with pytest.raises(RateLimited):
        tokens.spend("artist")


def test_a_key_stands_for_one_job_whatever_comes_with_it_again(shared: Gateway) -> None:
    key = {"Idempotency-Key": "the first"}
    first = shared.post(headers=key)
    again = shared.post(headers=key)
    assert again.headers["x-job"] == first.headers["x-job"]
    assert again.content == first.content
    assert shared.post("/jobs", headers=key).json()["id"] == first.headers["x-job"]
    other = shared.post(headers=key, prompt="a hare")
    message = "this Idempotency-Key came with another body before: use a new key"
    assert other.status_code == 409
    assert other.json() == {"error": {"type": "idempotency-conflict", "message": message}}
    robot = shared.as_("robot").post("/jobs", json={"prompt": "a fox", **SMALL}, headers=key)
    assert robot.json()["id"] != first.headers["x-job"]


def test_a_key_that_comes_many_times_at_once_runs_once(slow: Gateway) -> None:
    before = prompts(slow)
    key = {"Idempotency-Key": "at once"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: slow.post(headers=key), range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["x-job"] for answer in answers}) == 1
    assert len({answer.content for answer in answers}) == 1
    assert prompts(slow) == before + 1


def test_a_job_that_waits_is_cancelled_without_having_run(slow: Gateway) -> None:
    jobs = [slow.submit(steps=4) for _ in range(3)]
    answer = slow.client.delete(f"/jobs/{jobs[2]['id']}")
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["started"]) == ("cancelled", None)
    assert answer.json()["error"] == {
        "type": "cancelled",
        "message": "the job was cancelled",
        "field": None,
        "problems": None,
    }
    assert slow.client.delete(f"/jobs/{jobs[2]['id']}").json() == answer.json()
    for job in jobs[:2]:
        assert slow.until(job["id"], "done", "cancelled")["state"] == "done"


def test_a_job_that_runs_is_stopped_in_comfyui(slow: Gateway, slow_comfy) -> None:
    job = slow.submit(steps=100)
    slow.until(job["id"], "running")
    found = slow.client.delete(f"/jobs/{job['id']}").json()
    assert found["state"] == "cancelled"
    assert found["seconds"] > 0
    assert found["cost"] > 0
    until(lambda: not httpx.get(f"{slow_comfy.url}/queue").json()["queue_running"], 3)
    assert [kind for kind, _ in slow.events(job["id"])] == ["cancelled"]


def test_of_a_job_that_ended_badly_nothing_stays_in_comfyui(slow_comfy, tmp_path) -> None:
    def asked() -> set[str]:
        queue = httpx.get(f"{slow_comfy.url}/queue").json()
        return {item[1] for item in queue["queue_running"] + queue["queue_pending"]}

    def files(of: set[str]) -> list[Path]:
        return [path for path in slow_comfy.folder.rglob("*.png") if path.name.startswith(tuple(of))]

    with gateway(tmp_path, slow_comfy.url, comfyui_folder=slow_comfy.folder) as one:
        data = one.post().content
        upload = one.client.post("/uploads", content=data, headers={"Content-Type": "image/png"}).json()
        change = {"workflow": "image-to-image", "image": upload["image"], "steps": 50, "denoise": 1}
        jobs = [one.submit(**change) for _ in range(2)]
        one.until(jobs[0]["id"], "running")
        until(lambda: len(files(asked())) == 2)
        ours = {path.name[:36] for path in files(asked())}
        for job in reversed(jobs):
            one.client.delete(f"/jobs/{job['id']}")
        history = f"{slow_comfy.url}/history"
        until(lambda: not files(ours) and not ours & {*asked(), *httpx.get(history).json()})


def test_who_waits_for_a_job_that_somebody_cancels_is_told(slow: Gateway) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(slow.post, steps=100)
        job = until(
            lambda: [each for each in slow.client.get("/jobs").json()["jobs"] if each["state"] == "running"]
        )
        slow.client.delete(f"/jobs/{job[0]['id']}")
        answer = waiting.result()
    assert answer.status_code == 409
    assert answer.json() == {"error": {"type": "cancelled", "message": "the job was cancelled"}}


@pytest.mark.parametrize(("key", "end"), [(None, "cancelled"), ("kept", "done")])
def test_a_client_that_goes_away_cancels_its_job_unless_it_gave_a_key(
    slow: Gateway, key: str | None, end: str
) -> None:
    headers = {"Idempotency-Key": key} if key else {}
    before = prompts(slow)
    leaving = client(slow.url, "token-of-the-artist")
    with pytest.raises(httpx.ReadTimeout):
        leaving.post("/generate", json={"prompt": "a fox", **SMALL, "steps": 8}, headers=headers, timeout=0.3)
    leaving.close()
    assert prompts(slow) == before + 1
    job = slow.client.get("/jobs").json()["jobs"][0]
    assert slow.until(job["id"], "cancelled", "done")["state"] == end


def test_a_job_that_takes_too_long_is_stopped(slow_comfy, tmp_path) -> None:
    with gateway(tmp_path, slow_comfy.url, timeout=0.8) as one:
        answer = one.post(steps=100)
        assert answer.status_code == 504
        message = "the job took longer than 0.8 s"
        assert answer.json() == {"error": {"type": "timeout", "message": message}}
        until(lambda: not httpx.get(f"{slow_comfy.url}/queue").json()["queue_running"], 3)
        assert one.post(steps=1).status_code == 200


def test_a_follower_who_does_not_read_holds_nobody_up(slow: Gateway) -> None:
    job = slow.submit(steps=5)
    host, port = slow.client.base_url.host, slow.client.base_url.port
    with socket.create_connection((host, port)) as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        head = f"GET /jobs/{job['id']}/events HTTP/1.1\r\nHost: x\r\n"
        idle.sendall(f"{head}Authorization: {slow.client.headers['authorization']}\r\n\r\n".encode())
        threading.Event().wait(0.1)
        assert list(slow.events(job["id"]))[-1][0] == "done"
