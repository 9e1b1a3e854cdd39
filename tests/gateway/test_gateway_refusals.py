"""What the gateway answers to bad input: the status and the whole body."""

import json
import socket
import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from gateway_server import SMALL, Gateway
from PIL import Image

JSON = {"Content-Type": "application/json"}
PARAMETERS = "prompt, negative_prompt, width, height, steps, cfg, seed, sampler, scheduler, batch, loras"


def refused(kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message, **more}}


def invalid(field: str, message: str) -> dict[str, Any]:
    problem = {"field": field, "message": message}
    text = f"{field}: {message}" if field else message
    return refused("invalid-parameter", text, **({"field": field} if field else {}), problems=[problem])


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"width": 1000}, invalid("width", "Input should be a multiple of 64")),
        ({"width": 64}, invalid("width", "Input should be greater than or equal to 256")),
        ({"height": 4096}, invalid("height", "Input should be less than or equal to 2048")),
        ({"height": "512"}, invalid("height", "Input should be a valid integer")),
        (
            {"width": 2048, "height": 2048},
            invalid("", "2048x2048 is 4,194,304 pixels, over the limit of 2,359,296: 1536x1536 fits"),
        ),
        ({"steps": 0}, invalid("steps", "Input should be greater than or equal to 1")),
        ({"steps": 151}, invalid("steps", "Input should be less than or equal to 150")),
        ({"batch": 5}, invalid("batch", "Input should be less than or equal to 4")),
        ({"seed": -1}, invalid("seed", "Input should be greater than or equal to 0")),
        ({"seed": 2**53}, invalid("seed", f"Input should be less than or equal to {2**53 - 1}")),
        ({"prompt": None}, invalid("prompt", "Input should be a valid string")),
        ({"cfg": True}, invalid("cfg", "Input should be a valid number")),
        ({"loras": {"other": 1}}, invalid("loras", "no LoRA is named 'other': there is papercut")),
        (
            {"loras": {"papercut": 3}},
            invalid("loras.papercut", "Input should be less than or equal to 2"),
        ),
        (
            {"ckpt_name": "../../etc/passwd"},
            invalid("ckpt_name", f"is no parameter of text-to-image: those are {PARAMETERS}"),
        ),
        ({"workflow": 5}, invalid("workflow", "must be a string")),
        ({"enhance": "yes"}, invalid("enhance", "must be true or false")),
    ],
)
def test_parameters_are_refused_by_their_names(shared: Gateway, body: dict[str, Any], answer: object) -> None:
    for path in ("/generate", "/jobs"):
        found = shared.post(path, **body)
        assert (found.status_code, found.json()) == (422, answer)


def test_all_that_is_wrong_is_said_at_once(shared: Gateway) -> None:
    found = shared.post(width=1000, steps=0).json()["error"]
    assert [problem["field"] for problem in found["problems"]] == ["width", "steps"]
    assert found["field"] == "width"


@pytest.mark.parametrize(
    "image", ["../../tokens", "/etc/passwd", "a\\b", "", "x" * 300, "0" * 32, "a.png [output]"]
)
def test_an_image_is_one_of_ours_or_nothing(shared: Gateway, image: str) -> None:
    found = shared.post(workflow="image-to-image", image=image)
    assert found.status_code == 422
    assert found.json()["error"]["field"] == "image"
    if image == "0" * 32:
        message = "there is no such image of yours: POST it to /uploads first"
        assert found.json() == refused("invalid-parameter", message, field="image")


def test_enhance_is_refused_where_nobody_can_do_it(shared: Gateway) -> None:
    found = shared.post(enhance=True)
    message = "this gateway or workflow does not write prompts out: leave it out"
    assert (found.status_code, found.json()) == (422, refused("invalid-parameter", message, field="enhance"))


def test_an_unknown_workflow_is_answered_with_the_known_ones(shared: Gateway) -> None:
    message = "there is no workflow 'x': there is text-to-image, image-to-image"
    found = shared.post(workflow="x")
    assert (found.status_code, found.json()) == (404, refused("no-such-workflow", message, field="workflow"))
    message = "there is no workflow of that name: there is text-to-image, image-to-image"
    found = shared.client.get("/workflows/x")
    assert (found.status_code, found.json()) == (404, refused("no-such-workflow", message))


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"{",
            b"prompt=fox",
            b'{"prompt": "a fox"',
            b'{"prompt": NaN}',
            b'{"cfg": 1e999, "prompt": "x"}',
        ),
        *(b'{"prompt": "\xff"}', b'{"prompt": "\\ud800"}', b"[" * 5000, b'{"prompt": "a"} {}'),
    ],
)
def test_what_is_no_json_is_refused(shared: Gateway, body: bytes) -> None:
    found = shared.client.post("/generate", content=body, headers=JSON)
    assert found.status_code in {400, 422}
    if found.status_code == 400:
        assert found.json()["error"]["type"] == "invalid-json"
        assert found.json()["error"]["message"].startswith("the body is no JSON: ")
    else:
        assert b"1e999" in body


@pytest.mark.parametrize("body", [[], "a fox", 5, None])
def test_json_that_is_no_object_is_refused(shared: Gateway, body: object) -> None:
    found = shared.client.post("/jobs", content=json.dumps(body), headers=JSON)
    message = 'the body must be an object, such as {"prompt": "..."}'
    assert (found.status_code, found.json()) == (422, refused("invalid-parameter", message))


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer nobody", "Basic token-of-the-artist", "Bearer token-of-the-artisT"]
)
def test_without_a_token_of_ours_nothing_is_told(shared: Gateway, header: str) -> None:
    answer = refused("unauthorized", "a token is needed: send the header `Authorization: Bearer TOKEN`")
    asked = [
        ("POST", "/generate"),
        ("POST", "/jobs"),
        ("POST", "/uploads"),
        ("GET", "/jobs"),
        ("GET", "/jobs/x"),
    ]
    asked += [("GET", path) for path in ("/jobs/x/events", "/images/x", "/workflows", "/metrics", "/whoami")]
    for method, path in asked:
        found = shared.client.request(method, path, headers={"Authorization": header})
        assert (found.status_code, found.json()) == (401, answer)
        assert found.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "path", ["../tokens", "..%2f..%2ftokens", "%2e%2e/%2e%2e/queue.db", "a%00b", "queue.db"]
)
def test_paths_lead_nowhere(shared: Gateway, path: str) -> None:
    for root in ("/images/", "/jobs/", "/static/"):
        request = shared.client.build_request("GET", shared.url + root)
        request.url = request.url.copy_with(raw_path=f"{root}{path}".encode())
        found = shared.client.send(request)
        assert found.status_code == 404
        assert found.json()["error"]["type"] in {"no-such-image", "no-such-job", "not-found"}
        assert b"token-of" not in found.content


def test_unknown_paths_and_methods_are_refused_alike(shared: Gateway) -> None:
    found = shared.client.get("/nothing")
    assert (found.status_code, found.json()) == (
        404,
        refused("not-found", "Not Found: /docs says what there is"),
    )
    found = shared.client.put("/jobs")
    assert (found.status_code, found.json()) == (
        405,
        refused("method-not-allowed", "Method Not Allowed: /docs says what there is"),
    )


def test_a_body_that_is_too_large_is_refused_before_it_is_read(shared: Gateway) -> None:
    host, port = shared.client.base_url.host, shared.client.base_url.port
    for path, limit in (("/generate", 1_000_000), ("/uploads", 2_000_000)):
        with socket.create_connection((host, port), timeout=10) as raw:
            token = shared.client.headers["authorization"]
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
            raw.sendall(f"{head}Content-Type: image/png\r\nContent-Length: 100000000000\r\n\r\n".encode())
            answer = raw.makefile("rb").read().decode()
        assert answer.startswith("HTTP/1.1 413 ")
        message = f"the body is over the limit of {limit:,} bytes"
        assert json.loads(answer.split("\r\n\r\n")[1]) == refused("too-large", message)


def test_a_body_of_unknown_length_is_counted_as_it_comes(shared: Gateway) -> None:
    host, port = shared.client.base_url.host, shared.client.base_url.port
    with socket.create_connection((host, port), timeout=10) as raw:
        head = (
            f"POST /jobs HTTP/1.1\r\nHost: x\r\nAuthorization: {shared.client.headers['authorization']}\r\n"
        )
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(11):
            raw.sendall(b"186a0\r\n" + b" " * 100_000 + b"\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "body", [b"", b"GIF89a", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0 no jpeg"]
)
def test_what_is_no_whole_image_is_not_kept(shared: Gateway, body: bytes) -> None:
    found = shared.client.post("/uploads", content=body, headers={"Content-Type": "image/png"})
    message = "the body must be a whole PNG, JPEG or WebP image"
    assert (found.status_code, found.json()) == (415, refused("unsupported-media-type", message))


@pytest.mark.parametrize(
    ("whole", "broken"),
    [
        (b"\x01\x0e\x00\x02", b"\x01\x08\x00\x02"),
        (b"\x01\x1a\x00\x05\x00\x00\x00\x01\x00\x00", b"\x01\x1a\x00\x02\x00\x00\x00\x01\x00\x05"),
        (
            b"\x01\x0e\x00\x02\x00\x00\x00\x08\x00\x00\x002",
            b"\x01\x0e\x00\x0c\x00\x00\x00\x08\x00\x00\x00\x02",
        ),
    ],
)
def test_an_image_of_broken_metadata_is_not_kept(shared: Gateway, whole: bytes, broken: bytes) -> None:
    out, exif = BytesIO(), Image.Exif()
    exif[0x010E], exif[0x0112], exif[0x011A] = "at home", 6, 72.0
    Image.new("RGB", (40, 20)).save(out, "JPEG", exif=exif)
    body = out.getvalue()
    assert body.count(whole) == 1
    headers = {"Content-Type": "image/jpeg"}
    assert shared.client.post("/uploads", content=body, headers=headers).status_code == 201
    found = shared.client.post("/uploads", content=body.replace(whole, broken), headers=headers)
    message = "the body must be a whole PNG, JPEG or WebP image"
    assert (found.status_code, found.json()) == (415, refused("unsupported-media-type", message))


def test_an_upload_is_an_image_by_its_type(shared: Gateway) -> None:
    found = shared.client.post("/uploads", json={})
    message = "send the image itself, with Content-Type image/png or image/jpeg or image/webp"
    assert (found.status_code, found.json()) == (415, refused("unsupported-media-type", message))


def test_an_image_of_too_many_pixels_is_refused_before_it_is_unpacked(shared: Gateway) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 6000, 4001, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    found = shared.client.post("/uploads", content=bomb, headers={"Content-Type": "image/png"})
    message = "the image has 6000x4001 pixels: make it smaller, 24,000,000 are the most"
    assert (found.status_code, found.json()) == (422, refused("invalid-parameter", message, field="image"))


def test_a_key_of_no_or_too_many_characters_is_refused(shared: Gateway) -> None:
    for key in ("", "k" * 256):
        found = shared.post(headers={"Idempotency-Key": key})
        message = "must have 1 to 255 characters"
        assert (found.status_code, found.json()) == (
            422,
            refused("invalid-parameter", message, field="Idempotency-Key"),
        )


def test_heads_that_do_not_end_are_refused(shared: Gateway) -> None:
    host, port = shared.client.base_url.host, shared.client.base_url.port
    with socket.create_connection((host, port), timeout=10) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")


def test_nothing_of_a_refused_request_reaches_the_queue(shared: Gateway) -> None:
    before = shared.client.get("/jobs").json()
    shared.post(width=1000)
    shared.post(workflow="x")
    shared.client.post("/jobs", content=b"{", headers=JSON)
    shared.client.post("/jobs", json={**SMALL, "prompt": "x"}, headers={"Authorization": "Bearer x"})
    assert shared.client.get("/jobs").json() == before
