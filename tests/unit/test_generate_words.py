"""What `./fragua generate` makes of its words, and says of a job."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli.generate import Endpoint, check, described, generate, parsed, save
from components.errors import FraguaError
from gateway.certificate import certificate

JOB = {"images": [{"width": 64, "height": 32, "seed": 7}], "seconds": 1.5, "cost": 0.00015}


def test_words_nest_and_json_is_taken_as_json() -> None:
    words = ["width=512", "loras.a=0.8", "loras.b=1", "sampler=euler", "negative_prompt=a=b"]

    assert parsed(words) == {
        "width": 512,
        "loras": {"a": 0.8, "b": 1},
        "sampler": "euler",
        "negative_prompt": "a=b",
    }


@pytest.mark.parametrize("words", [["a=1", "a.b=2"], ["a.b=2", "a.b.c=3"], ["a=[]", "a.b=2"]])
def test_a_word_that_nests_in_a_value_is_refused(words: list[str]) -> None:
    with pytest.raises(FraguaError, match=rf"--set {words[1]}: . is .* already: leave one out"):
        parsed(words)


def test_what_is_not_known_of_a_job_is_left_out() -> None:
    assert described(JOB) == "64x32, seed 7, 1.5 s, $0.00015"
    assert described({**JOB, "seconds": None, "cost": None}) == "64x32, seed 7"


def test_a_place_that_takes_no_file_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(FraguaError, match=r"there is no folder .*missing: make it first"):
        check(tmp_path / "missing" / "a.png")
    with pytest.raises(FraguaError, match="name a file in it"):
        check(tmp_path)
    check(tmp_path / "a.png")


def test_where_an_image_that_was_made_cannot_be_saved_its_url_is_told(tmp_path: Path) -> None:
    with pytest.raises(FraguaError, match=r"GET https://203.0.113.7:1/images/n1-a with your token"):
        save(b"PNG", tmp_path / "gone" / "a.png", "https://203.0.113.7:1/images/n1-a")


def test_the_balancer_is_asked_where_there_is_one() -> None:
    first = {"url": "https://192.0.2.1:40001", "certificate": "of the first"}
    outputs = {"replicas": [first], "token": "secret"}
    front = {"front": "https://192.0.2.1:40002", "frontCertificate": "of the front"}

    assert Endpoint.of(outputs) == Endpoint("https://192.0.2.1:40001", "of the first", "secret")
    assert Endpoint.of(outputs | front) == Endpoint("https://192.0.2.1:40002", "of the front", "secret")
    with pytest.raises(FraguaError, match=r"through `./fragua tunnel` only"):
        Endpoint.of({"replicas": [{"url": "", "certificate": ""}], "token": "secret"})


def test_where_nothing_answers_it_is_told_what_starts_it(tmp_path: Path) -> None:
    pem = certificate(tmp_path, "127.0.0.1")
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        endpoint = Endpoint(f"https://127.0.0.1:{taken.getsockname()[1]}", pem, "secret")
        with pytest.raises(FraguaError, match=r"refused: `./fragua pulumi up --refresh` starts"):
            generate(endpoint, {"prompt": "a fox"}, lambda *_: None)
