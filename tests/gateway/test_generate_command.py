"""`./fragua generate` asks a real gateway, one that goes away meanwhile too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_node import Node
from gateway_server import SMALL, TOKENS, free_port, until

from cli import generate as command
from cli.generate import Endpoint, generate
from components.errors import FraguaError

BODY = {"prompt": "a fox", **SMALL, "seed": 7}


@pytest.fixture
def node(slow_comfy, tmp_path: Path) -> Iterator[Node]:
    found = Node("n1", tmp_path / "n1", free_port(), slow_comfy.url)
    found.start()
    until(found.ready)
    yield found
    found.kill()


def ask(node: Node, events: list, steps: int, on: str = "", then: object = None) -> tuple[bytes, dict]:
    """Make an image; call `then` when the event `on` comes for the first time."""

    def tell(event: str, data: dict) -> None:
        events.append((event, data))
        if event == on and [each for each, _ in events].count(on) == 1:
            then()

    endpoint = Endpoint(f"https://127.0.0.1:{node.port}", node.certificate, TOKENS["artist"])
    return generate(endpoint, {**BODY, "steps": steps}, tell)


def test_an_image_comes_with_its_job_and_progress_is_told(node: Node) -> None:
    events: list = []
    image, job = ask(node, events, 4)

    assert image.startswith(b"\x89PNG")
    assert (job["state"], job["images"][0]["seed"]) == ("done", 7)
    assert ("progress", 4) in [(event, data.get("value")) for event, data in events]


def test_a_gateway_that_starts_again_meanwhile_still_gives_the_image(node: Node) -> None:
    def again() -> None:
        node.kill()
        node.start()

    image, job = ask(node, [], 10, "progress", again)

    assert image.startswith(b"\x89PNG")
    assert [each["id"] for each in node.jobs()] == [job["id"]]


def test_a_gateway_that_stays_away_ends_the_patience(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_PATIENCE", 0.5)
    monkeypatch.setattr(command, "_POLL", 0.1)

    with pytest.raises(FraguaError, match=f"https://127.0.0.1:{node.port}: .*refused"):
        ask(node, [], 10, "progress", node.kill)


def test_what_the_gateway_refuses_is_told_at_once(node: Node) -> None:
    with pytest.raises(FraguaError, match="answers 422: steps: "):
        ask(node, [], 0)
