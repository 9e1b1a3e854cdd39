"""How long images are kept, how slow a client may be, and what a certificate is."""

import asyncio
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from cryptography import x509
from gateway_server import SMALL, client, gateway, until
from PIL import Image

from gateway import app, images, limits, requests
from gateway.certificate import certificate
from gateway.requests import accepted
from gateway.settings import Settings
from gateway.store import Store


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_HOUSEKEEPING_SECONDS", 0.05)


GONE = {
    "error": {
        "type": "gone",
        "message": "the image was removed: images are kept for a limited time and size",
    }
}


def test_an_image_is_gone_after_its_time_and_its_job_is_not(comfy, tmp_path) -> None:
    with gateway(tmp_path, comfy.url, keep_hours=0.6 / 3600) as one:
        key = {"Idempotency-Key": "kept"}
        job = one.post(headers={"Accept": "application/json", **key}).json()
        url = job["images"][0]["url"]
        assert one.client.get(url).status_code == 200
        answer = until(lambda: (found := one.client.get(url)).status_code != 200 and found)
        assert (answer.status_code, answer.json()) == (410, GONE)
        assert one.client.get(f"/jobs/{job['id']}").json() == job
        again = one.post(headers=key)
        assert (again.status_code, again.json()) == (410, GONE)
        assert not list((tmp_path / "data/images").iterdir())


def test_the_oldest_images_go_when_there_are_too_many(comfy, tmp_path) -> None:
    with gateway(tmp_path, comfy.url) as one:
        size = len(one.post().content)
    with gateway(tmp_path, comfy.url, keep_gb=2.5 * size / 1e9) as one:
        jobs = [one.post(headers={"Accept": "application/json"}, seed=1).json() for _ in range(4)]
        urls = [job["images"][0]["url"] for job in jobs]
        until(lambda: [one.client.get(url).status_code for url in urls] == [410, 410, 200, 200])


@pytest.mark.anyio
async def test_two_images_are_decoded_at_once_and_no_more(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = images.Images("node", tmp_path / "images", Store(tmp_path / "queue.db"), 3600, 1e9)
    plain, counting = images._png, threading.Lock()
    now, most = 0, 0

    def slowly(data: bytes) -> bytes:
        nonlocal now, most
        with counting:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with counting:
            now -= 1
        return plain(data)

    monkeypatch.setattr(images, "_png", slowly)
    out = BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    kept = await asyncio.gather(*(found.upload("artist", out.getvalue()) for _ in range(6)))
    assert len({each.id for each in kept}) == 6
    assert most == 2


def test_files_that_nobody_knows_are_removed_at_the_start(comfy, tmp_path) -> None:
    (tmp_path / "data/images").mkdir(parents=True)
    (tmp_path / "data/images/half.part").write_bytes(b"x")
    with gateway(tmp_path, comfy.url) as one:
        job = one.post(headers={"Accept": "application/json"}).json()
        names = {f"{image['url'].removeprefix('/images/')}.png" for image in job["images"]}
        assert {path.name for path in (tmp_path / "data/images").iterdir()} == names


def test_a_body_that_does_not_come_is_not_waited_for(
    comfy, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_BODY_SECONDS", 0.3)
    with (
        gateway(tmp_path, comfy.url) as one,
        socket.create_connection(("127.0.0.1", one.client.base_url.port)) as raw,
    ):
        raw.settimeout(10)
        head = f"POST /jobs HTTP/1.1\r\nHost: x\r\nAuthorization: {one.client.headers['authorization']}\r\n"
        raw.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        answer = raw.makefile("rb").read().decode()
        assert answer.startswith("HTTP/1.1 408 ")
        error = {"type": "request-timeout", "message": "the body did not come within 0.3 s"}
        assert json.loads(answer.split("\r\n\r\n")[1]) == {"error": error}
        assert one.client.get("/jobs").json() == {"jobs": []}


@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(
    comfy, tmp_path, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    monkeypatch.setattr(limits, "_HEAD_SECONDS", 0.5)
    with (
        gateway(tmp_path, comfy.url) as one,
        socket.create_connection(("127.0.0.1", one.client.base_url.port)) as raw,
    ):
        raw.settimeout(10)
        raw.sendall(before)
        if before:
            assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() < began + 5:
                raw.sendall(b"G")
                time.sleep(0.05)
        assert time.monotonic() - began < 3
        assert one.post().status_code == 200


def test_a_certificate_is_made_once_for_an_address(tmp_path: Path) -> None:
    first = certificate(tmp_path, "203.0.113.5")
    assert certificate(tmp_path, "203.0.113.5") == first
    names = x509.load_pem_x509_certificate(first.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "203.0.113.5" in [str(name) for name in names.value.get_values_for_type(x509.IPAddress)]
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    other = certificate(tmp_path, "images.example.org")
    assert other != first
    assert certificate(tmp_path, "images.example.org") == other


def test_the_command_prints_the_certificate_and_nothing_of_its_key(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway", "certificate", "--folder", "tls", "--address", "203.0.113.5"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert (
        done.stdout
        == (tmp_path / "tls/certificate.pem").read_text()
        == certificate(tmp_path / "tls", "203.0.113.5")
    )
    assert "PRIVATE" not in done.stdout + done.stderr


def test_the_gateway_speaks_tls_with_its_certificate_only(comfy, tmp_path) -> None:
    certificate(tmp_path / "tls", "127.0.0.1")
    files = {"tls_cert": tmp_path / "tls/certificate.pem", "tls_key": tmp_path / "tls/key.pem"}
    with gateway(tmp_path, comfy.url, **files) as one:
        assert one.url.startswith("https://")
        assert one.post().status_code == 200
        with client(one.url, "x") as stranger, pytest.raises(Exception, match="self-signed certificate"):
            stranger.get("/health")
        context = ssl.create_default_context(cafile=str(files["tls_cert"]))
        with (
            socket.create_connection(("127.0.0.1", one.client.base_url.port)) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as secure,
        ):
            assert secure.version() in {"TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (None, "image/png"),
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("text/html", "image/png"),
        ("image/webp", "image/webp"),
        ("image/avif,image/webp,*/*;q=0.8", "image/webp"),
        ("image/png;q=0.1, image/jpeg", "image/jpeg"),
        ("image/*;q=0.5, image/png;q=0", "image/jpeg"),
        ("IMAGE/JPEG", "image/jpeg"),
        ("image/jpeg;q=x, image/webp;q=0.2", "image/webp"),
        (",;,", "image/png"),
    ],
)
def test_the_type_is_chosen_as_http_says(header: str | None, kind: str) -> None:
    assert accepted(header, ["image/png", "image/jpeg", "image/webp"]) == kind


def test_settings_come_from_the_environment_and_a_file(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(
        "COMFYUI_URL='http://127.0.0.1:1'\nAPI_PORT=9000\nGATEWAY_RATE=30\nOTHER=x\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_RATE", "5")
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret")
    found = Settings()
    assert (found.comfyui_url, found.host, found.port, found.rate) == (
        "http://127.0.0.1:1",
        "127.0.0.1",
        9000,
        5,
    )
    assert "a-secret" not in repr(found)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "GATEWAY_CATALOGUE: cannot read catalogue.json: No such file or directory"),
        ({"catalogue.json": "{}"}, "GATEWAY_CATALOGUE: catalogue.json: models: Field required"),
        (
            {"catalogue.json": '{"models": {"checkpoint": "a"}}'},
            "GATEWAY_TOKENS: cannot read tokens: No such file",
        ),
        (
            {"catalogue.json": '{"models": {"checkpoint": "a"}}', "tokens": "artist:secret"},
            "GATEWAY_TOKENS: tokens has no tokens, or a line that is none",
        ),
    ],
)
def test_what_is_missing_is_named_at_the_start(
    tmp_path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        app.create_app(Settings())
    assert "secret" not in str(caught.value)


def test_small_images_are_small(comfy, tmp_path) -> None:
    with gateway(tmp_path, comfy.url, body_mb=0.01) as one:
        big = one.client.post("/uploads", content=bytes(20_000), headers={"Content-Type": "image/png"})
        assert big.status_code == 413
        assert one.client.post("/jobs", json={**SMALL, "prompt": "x" * 9_000}).status_code == 202
        assert one.client.post("/jobs", json={**SMALL, "prompt": "x" * 11_000}).status_code == 413
