"""Where the real HAProxy sends jobs, by what waits where."""

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from comfy_server import comfyui
from front_server import Front, balanced, load, up
from gateway_node import Node
from gateway_server import TOKENS, client, free_port, until

pytestmark = pytest.mark.skipif(not shutil.which("haproxy"), reason="no haproxy: apt-get install haproxy")


@contextmanager
def pair(folder: Path, *each: tuple[float, dict[str, str]]) -> Iterator[Front]:
    """Run gateways with those seconds a step, and those settings, behind HAProxy."""
    with ExitStack() as ends:
        nodes = []
        for number, (step, settings) in enumerate(each, 1):
            comfy = ends.enter_context(comfyui(folder / f"comfyui-{number}", step=step))
            nodes.append(Node(f"n{number}", folder / f"n{number}", free_port(), comfy.url, settings))
            nodes[-1].start()
            ends.callback(nodes[-1].kill)
        sockets = Path(ends.enter_context(TemporaryDirectory()))
        url = ends.enter_context(balanced(sockets, [node.replica for node in nodes]))
        until(lambda: up(sockets) == {node.name for node in nodes})
        yield Front(ends.enter_context(client(url, TOKENS["artist"])), nodes, sockets)


def refusal(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["type"]


def test_a_slow_replica_gets_what_it_can_do_and_a_fast_one_the_rest(tmp_path: Path) -> None:
    with pair(tmp_path, (1.5, {}), (0, {})) as front:
        first = [front.post(path="/jobs", steps=50) for _ in range(12)]
        until(lambda: load(front.folder, "n2") == [0])
        then = [front.post(key, "/jobs", steps=50) for key in ("", "a", "", "b", "")]

    assert Counter(reply.json()["id"][:2] for reply in first) == {"n1": 6, "n2": 6}
    assert [reply.json()["id"][:2] for reply in then] == ["n2"] * 5


def test_no_job_is_refused_while_another_replica_has_room(tmp_path: Path) -> None:
    with pair(tmp_path, (0.5, {"GATEWAY_QUEUE": "1"}), (0.5, {"GATEWAY_QUEUE": "5"})) as front:
        full, other = front.nodes
        for node, waiting in ((full, 1), (other, 3)):
            node.post(steps=100)
            until(lambda node=node: node.ready()["running"] == 1)
            for _ in range(waiting):
                node.post(steps=100)

        def without_room() -> None:
            # fewer jobs are at the one that has no room
            until(lambda: (jobs := load(front.folder, "n1", "n2"))[0] == 2 and jobs[1] >= 4)

        without_room()
        unkeyed = front.post(path="/jobs", steps=100)
        known = load(front.folder, "n1")
        without_room()
        keyed = [front.post("key", "/jobs", steps=100) for _ in range(2)]
        without_room()
        refused = [front.post(key, "/jobs", steps=100) for key in ("", "another")]

    assert [reply.json()["id"][:2] for reply in (unkeyed, *keyed)] == ["n2"] * 3
    assert known == [1000]
    assert keyed[0].json()["id"] == keyed[1].json()["id"]
    assert [refusal(reply) for reply in refused] == [(429, "queue-full")] * 2
    assert all(int(reply.headers["Retry-After"]) for reply in refused)


def test_who_asks_too_often_is_not_sent_elsewhere(tmp_path: Path) -> None:
    with pair(tmp_path, (0.5, {"GATEWAY_RATE": "1"}), (0.5, {})) as front:
        for _ in range(2):
            front.nodes[1].post(steps=100)
        until(lambda: load(front.folder, "n1", "n2") == [0, 2])
        replies = [front.post(key, "/jobs", steps=100) for key in ("", "key", "")]

    assert replies[0].json()["id"][:2] == "n1"
    assert refusal(replies[1]) == (429, "rate-limited")
