"""The internet as this machine reaches it: known model files, and what lies in the machine's `web` folder.

It answers a request with a status and a body that can be received from any offset; it prints nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from hardware import clock, link
from hardware.facts import machine
from models import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

_STORE = "cas-bridge.xethub.hf.co"
_HOSTS = {"huggingface.co", "civitai.com", "github.com", "raw.githubusercontent.com", "pypi.org", _STORE}


class UnknownHost(Exception):
    """No such host; the text is its name."""


class Response(NamedTuple):
    """An answer: status, bytes of the body, where it redirects to."""

    status: int
    size: int
    body: bytes | Path | catalog.KnownFile
    location: str = ""
    type: str = "text/plain; charset=utf-8"


def is_local(url: str) -> bool:
    """Return whether a URL points at this machine itself."""
    host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    return host in {"localhost", "::1"} or host.startswith(("127.", "0."))


def request(url: str) -> Response:
    """Ask for a URL.

    Raises:
        UnknownHost: the name does not resolve.
    """
    clock.sleep(0.25)
    parts = urlsplit(url if "//" in url else f"http://{url}")
    host, path = parts.hostname or "", unquote(parts.path)
    web = _folder()
    if web and (file := web / host / path.lstrip("/")).is_file():
        return Response(200, file.stat().st_size, file, type="application/octet-stream")
    if host == _STORE:
        known = next((one for one in catalog.files() if f"{one.repo}/{one.name}" in path), None)
        return Response(200, known.size, known, type="binary/octet-stream") if known else _missing()
    if host not in _HOSTS and not (web and (web / host).is_dir()):
        raise UnknownHost(host)
    known = _published(host, path, parts.query)
    if known:
        target = f"https://{_STORE}/{known.repo}/{known.name}?X-Amz-Expires=3600"
        text = f"Found. Redirecting to {target}".encode()
        return Response(302, len(text), text, location=target)
    return _missing()


def receive(response: Response, path: Path, offset: int) -> Iterator[int]:
    """Write the body from `offset` on into a file that has `offset` bytes, yielding its size as it grows.

    Raises:
        OSError: the disk is full.
    """
    body = response.body
    with path.open("r+b" if offset else "wb") as file:
        for piece in link.arriving(response.size - offset):
            if "disk_full" in machine().faults and response.size > 1_000_000:
                raise OSError(28, os.strerror(28))
            _append(file.fileno(), body, offset, piece)
            offset += piece
            yield offset


def content(response: Response) -> bytes:
    """Receive a small body whole."""
    for _ in link.arriving(response.size):
        pass
    if isinstance(response.body, bytes):
        return response.body
    return response.body.read_bytes() if isinstance(response.body, Path) else response.body.head()


def _folder() -> Path | None:
    name = machine().web
    return Path(name) if name else None


def _published(host: str, path: str, query: str) -> catalog.KnownFile | None:
    segments = path.strip("/").split("/")
    for known in catalog.files():
        if host == "huggingface.co" and len(segments) >= 5 and segments[2] == "resolve":
            if "/".join(segments[:2]) == known.repo and "/".join(segments[4:]) == known.name:
                return known
        elif (
            host == "civitai.com"
            and known.civitai
            and segments[-1:] == [known.civitai]
            and "models" in segments
        ):
            return known
    del query  # civitai's ?type=&format= choose among files of one version: the catalog has one of each
    return None


def _missing() -> Response:
    return Response(404, 15, b"Entry not found")


def _append(descriptor: int, body: bytes | Path | catalog.KnownFile, offset: int, size: int) -> None:
    """Write `size` bytes of the body at `offset`; the zeros of a known file become a hole."""
    if isinstance(body, Path):
        with body.open("rb") as source:
            source.seek(offset)
            os.pwrite(descriptor, source.read(size), offset)
            return
    head = body if isinstance(body, bytes) else body.head()
    os.pwrite(descriptor, head[offset : offset + size], offset)
    os.truncate(descriptor, offset + size)
