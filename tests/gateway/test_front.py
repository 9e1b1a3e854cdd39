"""The real HAProxy in front of two real gateways: what finds its replica, and what outlives one."""

import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from comfy_server import comfyui
from front_server import Front, balanced, load, up
from gateway_node import Node
from gateway_server import SMALL, TOKENS, client, free_port, until

pytestmark = pytest.mark.skipif(not shutil.which("haproxy"), reason="no haproxy: apt-get install haproxy")


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with ExitStack() as ends:
        nodes = []
        for name in ("n1", "n2"):
            comfy = ends.enter_context(comfyui(tmp_path_factory.mktemp("comfyui"), step=0.05))
            nodes.append(Node(name, tmp_path_factory.mktemp(name), free_port(), comfy.url))
            nodes[-1].start()
            ends.callback(nodes[-1].kill)
        # a socket's path must not be long
        folder = Path(ends.enter_context(TemporaryDirectory()))
        url = ends.enter_context(balanced(folder, [each.replica for each in nodes]))
        found = Front(ends.enter_context(client(url, TOKENS["artist"])), nodes, folder)
        until(lambda: up(folder) == {"n1", "n2"})
        yield found


def test_requests_go_to_both_replicas_and_each_job_finds_its_own(front: Front) -> None:
    jobs = [front.post(path="/jobs", seed=seed).json() for seed in range(6)]

    assert {job["id"][:3] for job in jobs} == {"n1-", "n2-"}
    for job in jobs:
        assert front.client.get(f"/jobs/{job['id']}").json()["id"] == job["id"]
        with front.client.stream("GET", f"/jobs/{job['id']}/events") as events:
            assert "event: done" in list(events.iter_lines())


def test_a_key_leads_to_one_replica_while_its_request_still_runs(front: Front) -> None:
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: front.post("one-key", seed=7, steps=10), range(6)))

    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.headers["X-Job"] for reply in replies}) == 1
    assert front.post("one-key", seed=7, steps=10).headers["X-Job"] == replies[0].headers["X-Job"]


def test_requests_with_keys_spread_over_the_replicas(front: Front) -> None:
    until(lambda: load(front.folder, "n1", "n2") == [0, 0])
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda n: front.post(f"spread-{n}", seed=n, steps=10), range(4)))

    replicas = sorted(reply.headers["X-Job"][:2] for reply in replies)
    assert replicas == ["n1", "n1", "n2", "n2"]


def test_two_owners_of_the_same_key_get_jobs_of_their_own(front: Front) -> None:
    with client(str(front.client.base_url), TOKENS["robot"]) as other:
        body = {"prompt": "a fox", **SMALL, "seed": 1}
        theirs = other.post("/generate", json=body, headers={"Idempotency-Key": "ours"})

    assert front.post("ours", seed=1).headers["X-Job"] != theirs.headers["X-Job"]


def test_the_gateways_own_refusals_pass_unchanged_and_nothing_is_told_of_the_balancer(front: Front) -> None:
    reply = front.post(width=1)
    denied = front.client.get("/jobs", headers={"Authorization": "Bearer wrong"})

    assert (reply.status_code, reply.json()["error"]["field"]) == (422, "width")
    assert denied.status_code == 401
    assert not {"server", "via"} & {*reply.headers.keys(), *denied.headers.keys()}


def test_who_goes_away_cancels_what_it_asked_for(front: Front) -> None:
    body = {"prompt": "a fox", **SMALL, "seed": 77, "steps": 150}
    with pytest.raises(httpx.ReadTimeout):
        front.client.post("/generate", json=body, timeout=0.5)

    def ended() -> list[str]:
        jobs = [job for node in front.nodes for job in node.jobs() if job["parameters"]["seed"] == 77]
        return [job["state"] for job in jobs if job["state"] not in ("queued", "running")]

    assert until(ended) == ["cancelled"]


def test_when_a_replica_is_killed_every_request_with_a_key_gets_its_image(front: Front) -> None:
    def ask(number: int) -> httpx.Response:
        return front.post(f"killed-{number}" if number % 3 else "", seed=1000 + number, steps=8)

    first = front.nodes[0]
    with ThreadPoolExecutor(18) as pool:
        asked = [pool.submit(ask, number) for number in range(18)]
        until(lambda: len([job for job in first.jobs() if job["parameters"]["seed"] >= 1000]) >= 5)
        first.kill()
        replies = [each.result() for each in asked]
    until(lambda: up(front.folder) == {"n2"})
    gone = front.client.get("/jobs/n1-5b0c8d4e-0000-4000-8000-000000000000")
    first.start()
    until(lambda: up(front.folder) == {"n1", "n2"})
    ran = Counter(job["parameters"]["seed"] for node in front.nodes for job in node.jobs())

    with_key = [reply for number, reply in enumerate(replies) if number % 3]
    assert [reply.status_code for reply in with_key] == [200] * 12
    assert all(reply.content.startswith(b"\x89PNG") for reply in with_key)
    assert {reply.status_code for number, reply in enumerate(replies) if not number % 3} <= {200, 502}
    # no request without a key is made twice; one that had not arrived is not made
    assert {ran[1000 + number] for number in range(0, 18, 3)} <= {0, 1}
    assert any(ran[1000 + number] == 2 for number in range(18)), "the replica was killed too late"
    # its jobs are not said to be unknown
    assert (gone.status_code, gone.json()["error"]["type"]) == (503, "no-replica")


def test_a_job_of_a_lost_replica_is_taken_by_another_one_with_its_key(front: Front) -> None:
    lost = front.post("lost", "/jobs", seed=9, steps=20).json()
    number = int(lost["id"][1]) - 1
    front.nodes[number].kill()
    until(lambda: up(front.folder) == {f"n{2 - number}"})
    asked = front.client.get(f"/jobs/{lost['id']}")
    again = front.post("lost", "/jobs", seed=9, steps=20)
    with front.client.stream("GET", f"/jobs/{again.json()['id']}/events") as events:
        lines = list(events.iter_lines())
    front.nodes[number].start()
    until(lambda: up(front.folder) == {"n1", "n2"})

    assert (asked.status_code, asked.json()["error"]["type"]) == (503, "no-replica")
    assert "sent again with its Idempotency-Key" in asked.json()["error"]["message"]
    assert (again.status_code, again.json()["id"][:3]) == (202, f"n{2 - number}-")
    assert "event: done" in lines


def test_a_replica_with_another_certificate_is_not_believed(front: Front) -> None:
    first, second = (each.replica for each in front.nodes)
    with TemporaryDirectory() as folder:
        replicas = [replace(first, certificate=second.certificate), second]
        with balanced(Path(folder), replicas) as url, client(url, TOKENS["artist"]) as asking:
            until(lambda: up(Path(folder)) == {"n2"})
            jobs = [asking.post("/jobs", json={"prompt": "a fox", **SMALL}).json() for _ in range(3)]
            of_the_first = [
                asking.get("/jobs/n1-5b0c8d4e-0000-4000-8000-000000000000"),
                asking.get(f"/images/n1-{32 * 'a'}"),
                asking.post("/jobs", json={"workflow": "image-to-image", "image": f"n1-{32 * 'a'}"}),
            ]

    assert {job["id"][:3] for job in jobs} == {"n2-"}
    assert [reply.status_code for reply in of_the_first] == [503] * 3


def test_as_many_clients_as_are_let_in_are_served_at_once(front: Front) -> None:
    many, body = 9, {"prompt": "a fox", **SMALL, "seed": 88, "steps": 150}

    def asked() -> list[str]:
        jobs = [job for node in front.nodes for job in node.jobs()]
        return [job["id"] for job in jobs if job["parameters"]["seed"] == 88]

    with ExitStack() as ends:
        folder = Path(ends.enter_context(TemporaryDirectory()))
        url = ends.enter_context(balanced(folder, [each.replica for each in front.nodes], share=0.01))
        until(lambda: up(folder) == {"n1", "n2"})
        asking = ends.enter_context(client(url, TOKENS["artist"]))
        pool = ends.enter_context(ThreadPoolExecutor(many))
        waiting = [pool.submit(asking.post, "/generate", json=body) for _ in range(many)]
        until(lambda: len(asked()) == many)
        answered = [each.result() for each in waiting if each.done()]
        for job in asked():
            front.client.delete(f"/jobs/{job}")

    assert answered == []
