"""`curl`, `wget`, `hf` and `sha256sum`: what comes from the internet, how long it takes, and how it fails."""

from __future__ import annotations

import hashlib
import http.server
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from models import safetensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from image_machine import Machine

HUB = "https://huggingface.co"
BASE = f"{HUB}/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/sd_xl_base_1.0.safetensors"
BASE_SIZE = 6_938_078_334
BASE_SHA256 = "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b"
VAE = f"{HUB}/stabilityai/sdxl-vae/resolve/main/sdxl_vae.safetensors"


@pytest.fixture
def web(machine: Machine) -> Machine:
    machine.write("web/files.example/data/dataset.zip", "zip" * 1000)
    machine.write_facts(web=str(machine.home / "web"))
    return machine


def down(machine: Machine) -> int:
    lines = (machine.home / "run/traffic").read_text().splitlines()
    return sum(int(line.removeprefix("down ")) for line in lines)


def test_the_base_model_has_its_true_size_and_takes_no_room(machine: Machine) -> None:
    done = machine.run("curl", "-fL", "-o", "base.safetensors", BASE)

    assert done.returncode == 0
    file = (machine.home / "base.safetensors").stat()
    assert file.st_size == BASE_SIZE
    assert file.st_blocks * 512 < 2_000_000
    assert down(machine) == BASE_SIZE
    assert done.stderr.startswith(
        "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n"
    )
    assert "100 6616M  100 6616M    0     0  95.4M      0  0:01:09  0:01:09 --:--:-- 95.4M\n" in done.stderr


def test_the_base_model_is_a_whole_sdxl_checkpoint(machine: Machine) -> None:
    machine.run("curl", "-sfLO", BASE)
    header = safetensors.read_header(machine.home / "sd_xl_base_1.0.safetensors")

    parameters = 0
    for name, entry in header.items():
        if name != "__metadata__" and not name.endswith("position_ids"):
            size = 1
            for side in entry["shape"]:
                size *= side
            parameters += size
    assert len(header) == 2516
    assert parameters == 2_567_463_684 + 123_060_480 + 694_659_841 + 83_653_863


def test_without_location_only_the_redirect_is_saved(machine: Machine) -> None:
    done = machine.run(
        "curl", "-sS", "-o", "base.safetensors", "-w", "%{http_code} %{num_redirects}\\n", BASE
    )

    assert (done.returncode, done.stdout) == (0, "302 0\n")
    assert (machine.home / "base.safetensors").read_text().startswith("Found. Redirecting to https://")


def test_a_download_goes_on_where_it_was_cut_off(machine: Machine) -> None:
    machine.write_facts(scale=100)
    process = subprocess.Popen(
        ["curl", "-sfL", "-o", "base.safetensors", BASE], cwd=machine.home, env=machine.environment
    )
    file = machine.home / "base.safetensors"
    deadline = time.monotonic() + 20
    while not (file.exists() and file.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    part = file.stat().st_size
    assert 0 < part < BASE_SIZE

    machine.write_facts(scale=1_000_000)
    done = machine.run("curl", "-sfL", "-C", "-", "-o", "base.safetensors", "-w", "%{size_download}", BASE)
    assert int(done.stdout) == BASE_SIZE - part
    whole = machine.run("curl", "-sfL", "-C", "-", "-o", "base.safetensors", "-w", "%{size_download}", BASE)
    assert (whole.returncode, whole.stdout) == (22, "0")
    plain = machine.run("curl", "-sL", "-C", "-", "-o", "base.safetensors", "-w", "%{http_code}", BASE)
    assert (plain.returncode, plain.stdout) == (0, "416")
    assert machine.run("sha256sum", "base.safetensors").stdout == f"{BASE_SHA256}  base.safetensors\n"


def test_the_link_sets_the_speed(machine: Machine) -> None:
    machine.write_facts(inet_down_mbps=100)
    done = machine.run("curl", "-sfL", "-o", "vae.safetensors", "-w", "%{time_total} %{speed_download}", VAE)

    seconds, speed = map(float, done.stdout.split())
    assert 334_641_164 / 12_500_000 < seconds < 30
    assert 11_000_000 < speed < 12_500_000


@pytest.mark.parametrize(
    ("options", "url", "code", "message"),
    [
        (
            ("-f",),
            f"{HUB}/nobody/nothing/resolve/main/x.bin",
            22,
            "curl: (22) The requested URL returned error: 401",
        ),
        (
            ("-f",),
            f"{HUB}/stabilityai/sdxl-vae/resolve/main/x.bin",
            22,
            "curl: (22) The requested URL returned error: 404",
        ),
        (("--proto", "=https"), "http://huggingface.co/x", 1, 'curl: (1) Protocol "http" not supported'),
        (("--max-filesize", "1", "-L"), VAE, 63, "curl: (63) Maximum file size exceeded"),
        ((), "https://nowhere.example/x", 6, "curl: (6) Could not resolve host: nowhere.example"),
        (("-o", "no/such/folder/x"), VAE, 23, "curl: (23) Failure writing output to destination"),
        (
            ("--max-time", "1", "-L", "-o", "x"),
            BASE,
            28,
            "curl: (28) Operation timed out after 1000 milliseconds with",
        ),
        (("--no-such-option",), VAE, 2, "curl: option --no-such-option: is unknown"),
        (("-sS",), "https://nowhere.example/x", 6, "curl: (6) Could not resolve host: nowhere.example"),
    ],
)
def test_curl_fails_with_its_codes_and_words(
    machine: Machine, options: tuple[str, ...], url: str, code: int, message: str
) -> None:
    machine.write_facts(scale=10)
    done = machine.run("curl", *options, url)

    assert done.returncode == code
    assert message in done.stderr


def test_silent_curl_says_nothing(machine: Machine) -> None:
    done = machine.run("curl", "-s", "https://nowhere.example/x")

    assert (done.returncode, done.stdout, done.stderr) == (6, "", "")


def test_a_full_disk_stops_a_download(machine: Machine) -> None:
    machine.write_facts(faults=["disk_full"])

    assert machine.run("curl", "-sSfL", "-o", "base.safetensors", BASE).returncode == 23
    assert machine.run("wget", "-q", VAE).returncode == 3


def test_a_head_request_tells_the_size(machine: Machine) -> None:
    done = machine.run("curl", "-sIL", BASE)

    assert "HTTP/2 302 " in done.stdout
    assert f"content-length: {BASE_SIZE}" in done.stdout
    assert not (machine.home / "run/traffic").exists()


def test_a_limit_of_size_counts_for_the_page_of_a_redirect(machine: Machine) -> None:
    options = ("-sL", "--range", "0-0", "-o", "/dev/null", "-w", "%{http_code}")

    assert machine.run("curl", *options, "--max-filesize", "1", VAE).stdout == "302"
    assert machine.run("curl", *options, "--max-filesize", "1000", VAE).stdout == "206"


def test_one_byte_tells_the_size(machine: Machine) -> None:
    options = ("-sSL", "--range", "0-0", "-D", "head", "-o", "/dev/null", "-w", "%{http_code}")
    assert machine.run("curl", *options, BASE).stdout == "206"

    head = (machine.home / "head").read_text()
    assert f"content-range: bytes 0-0/{BASE_SIZE}\n" in head
    assert head.startswith("HTTP/2 302 ")


def test_a_closed_repository_opens_to_its_token_which_the_store_does_not_get(web: Machine) -> None:
    web.write("web/huggingface.co/me/mine/.token", "hf_mine")
    web.write("web/huggingface.co/me/mine/resolve/main/a.bin", "content")
    url = f"{HUB}/me/mine/resolve/main/a.bin"

    def ask(*headers: str) -> str:
        return web.run("curl", "-sL", "-w", "|%{http_code}", *headers, url).stdout

    assert ask().endswith("|401")
    assert ask("-H", "Authorization: Bearer hf_other").endswith("|403")
    assert ask("-H", "Authorization: Bearer nonsense").endswith("|401")
    web.write("header", "Authorization: Bearer hf_mine\n")
    assert ask("-H", "@header") == "content|200"
    led = web.run("curl", "-s", "-H", "@header", "-w", "%{http_code}", url).stdout
    assert led.endswith("302")
    store = led.split()[-1].removesuffix("302")
    refused = web.run("curl", "-s", "-H", "@header", "-w", "|%{http_code}", store)
    assert refused.stdout == "Only one auth mechanism allowed|400"


def test_the_web_folder_is_served_with_real_bytes(web: Machine) -> None:
    url = "https://files.example/data/dataset.zip"

    assert web.run("curl", "-s", url).stdout == "zip" * 1000
    assert web.run("curl", "-sf", "-o", "d.zip", url).returncode == 0
    assert (web.home / "d.zip").read_text() == "zip" * 1000
    (web.home / "d.zip").write_text("zip" * 10)
    web.run("curl", "-sf", "-C", "-", "-o", "d.zip", url)
    assert (web.home / "d.zip").read_text() == "zip" * 1000
    assert web.run("curl", "-f", "https://files.example/nothing").returncode == 22
    web.run("wget", "-q", url)
    assert (web.home / "dataset.zip").read_text() == "zip" * 1000


@pytest.fixture
def server() -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/ok" else 500)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found.server_port
    found.shutdown()


@pytest.mark.parametrize("with_real_curl", [True, False])
def test_the_machine_itself_is_reached_for_real(machine: Machine, server: int, with_real_curl: bool) -> None:
    if not with_real_curl:
        machine.environment["PATH"] = (
            ":".join(machine.environment["PATH"].split(":")[:2]) + f":{machine.home / 'posix'}"
        )
        (machine.home / "posix").mkdir()
        (machine.home / "posix/env").symlink_to("/usr/bin/env")

    assert machine.run("curl", "-s", f"http://127.0.0.1:{server}/ok").stdout == "hello"
    code = machine.run(
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://localhost:{server}/broken"
    )
    assert code.stdout == "500"
    assert machine.run("curl", "-sf", f"http://127.0.0.1:{server}/broken").returncode == 22
    assert machine.run("curl", "-s", "http://127.0.0.1:1/").returncode == 7
    assert machine.run("wget", "-q", "-O", "-", f"http://127.0.0.1:{server}/ok").stdout == "hello"


def test_wget_follows_redirects_and_says_what_it_does(machine: Machine) -> None:
    done = machine.run("wget", VAE)

    assert done.returncode == 0
    assert "HTTP request sent, awaiting response... 302 Found" in done.stderr
    assert "Length: 334641164 (319.1M) [binary/octet-stream]" in done.stderr
    assert done.stderr.rstrip().endswith("saved [334641164/334641164]")
    again = machine.run("wget", "-c", VAE)
    assert "The file is already fully retrieved; nothing to do." in again.stderr


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://nowhere.example/x", 4),
        (f"{HUB}/a/b/resolve/main/c", 6),
        (f"{HUB}/stabilityai/sdxl-vae/resolve/main/c", 8),
    ],
)
def test_wget_fails_with_its_codes(machine: Machine, url: str, code: int) -> None:
    assert machine.run("wget", url).returncode == code


def test_hf_downloads_single_files_and_tokenizers(machine: Machine) -> None:
    machine.run("uv", "venv", "-q", "venv")
    machine.run("uv", "pip", "install", "-q", "--python", "venv", "huggingface-hub==0.34.3")
    hf = machine.home / "venv/bin/hf"
    done = machine.run(
        hf, "download", "stabilityai/sdxl-vae", "sdxl_vae.safetensors", "--local-dir", "models"
    )

    assert done.stdout == f"{machine.home}/models/sdxl_vae.safetensors\n"
    assert (machine.home / "models/sdxl_vae.safetensors").stat().st_size == 334_641_164
    cached = machine.run(hf.with_name("huggingface-cli"), "download", "openai/clip-vit-large-patch14")
    assert {"vocab.json", "merges.txt"} <= {
        path.name for path in (machine.home / cached.stdout.strip()).iterdir()
    }
    assert "RepositoryNotFoundError" in machine.run(hf, "download", "nobody/nothing").stderr
    assert "EntryNotFoundError" in machine.run(hf, "download", "stabilityai/sdxl-vae", "x").stderr


def test_digests_are_published_ones_for_models_and_real_ones_for_the_rest(machine: Machine) -> None:
    machine.run("curl", "-sfL", "-o", "base.safetensors", BASE)
    machine.write("own.txt", "own")
    real = hashlib.sha256(b"own").hexdigest()

    assert machine.run("sha256sum", "own.txt").stdout == f"{real}  own.txt\n"
    listing = machine.write("sums", f"{BASE_SHA256}  base.safetensors\n{real}  own.txt\n")
    assert machine.run("sha256sum", "-c", listing).stdout == "base.safetensors: OK\nown.txt: OK\n"
    assert (
        machine.run("sha256sum", "-c", "--status", "-", input=f"{real}  base.safetensors\n").returncode == 1
    )
    assert machine.run("sha256sum", "nothing").stderr == "sha256sum: nothing: No such file or directory\n"
    with (machine.home / "base.safetensors").open("r+b") as file:
        file.truncate(1000)
    short = machine.run("sha256sum", "base.safetensors").stdout
    assert short.split()[0] == hashlib.sha256((machine.home / "base.safetensors").read_bytes()).hexdigest()
