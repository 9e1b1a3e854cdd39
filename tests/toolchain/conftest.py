"""A release server on loopback, release archives, and executables that stand on a fake PATH."""

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from toolchain import engine, versions

PINS = versions.load()
ENGINE = "pulumi-v{version}-linux-{machine}.tar.gz"


@dataclass
class ReleaseServer:
    """Serves `content` for every path, with ranges, and breaks off where it is told to.

    Attributes:
        content: The body.
        breaks: Each answer takes the first of these and sends that many bytes, then hangs up.
        ranges: Whether a Range header is honoured.
        status: An error status to answer instead.
        asked: The Range header of each request, None without one.
    """

    content: bytes = b""
    breaks: list[int] = field(default_factory=list)
    ranges: bool = True
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    url: str = ""

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        if self.status != 200:
            request.send_error(self.status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if start >= len(self.content) > 0:
            request.send_error(416)
            return
        rest = self.content[start:]
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        request.wfile.write(rest[: self.breaks.pop(0)] if self.breaks else rest)


@pytest.fixture
def server() -> Iterator[ReleaseServer]:
    serving = ReleaseServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serving.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        serving.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        yield serving
        listening.shutdown()
        thread.join()


@pytest.fixture
def pins(server: ReleaseServer) -> Callable[[bytes], versions.Versions]:
    """The pins, with the server's archive as the release and this content's digest as its pin."""

    def pinned(content: bytes) -> versions.Versions:
        digest = hashlib.sha256(content).hexdigest()
        return replace(PINS, archive=f"{server.url}/{ENGINE}", sha256={"x64": digest, "arm64": digest})

    return pinned


@pytest.fixture
def packed() -> Callable[..., bytes]:
    """Packs a release archive: a folder `pulumi` of shell scripts that say their version."""

    def pack(version: str = PINS.engine, names: tuple[str, ...] = engine.EXECUTABLES) -> bytes:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as members:
            for name in (*names, "pulumi-language-nodejs"):
                member = tarfile.TarInfo(f"pulumi/{name}")
                content = _says(f"v{version}").encode()
                member.size = len(content)
                members.addfile(member, io.BytesIO(content))
        return archive.getvalue()

    return pack


@pytest.fixture
def installed() -> Callable[..., Path]:
    """Puts an engine of shell scripts into a folder."""

    def install(folder: Path, version: str, names: tuple[str, ...] = engine.EXECUTABLES) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).write_text(_says(f"v{version}"))
            (folder / name).chmod(0o755)
        return folder

    return install


def _says(line: str) -> str:
    return f"#!/bin/sh\necho '{line}'\n"
