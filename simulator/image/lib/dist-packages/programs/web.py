"""The internet as this machine reaches it: known model files, and what lies in the machine's `web` folder.

It answers a request with a status and a body that can be received from any offset; it prints nothing.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from hardware import clock, link
from hardware.facts import machine
from models import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

_HUB = "huggingface.co"
_STORE = "cas-bridge.xethub.hf.co"
_HOSTS = {_HUB, "civitai.com", "github.com", "raw.githubusercontent.com", "pypi.org", _STORE}
_REFUSALS = {
    400: b"Only one auth mechanism allowed",
    401: b"Invalid username or password.",
    403: b"Access to this repository is restricted and you are not in the authorized list.",
    404: b"Entry not found",
    429: b"We had to rate limit your IP",
}


class UnknownHost(Exception):
    """No such host; the text is its name."""


class Response(NamedTuple):
    """An answer: status, bytes of the body, where it redirects to, which part it is."""

    status: int
    size: int
    body: bytes | Path | catalog.KnownFile
    location: str = ""
    type: str = "text/plain; charset=utf-8"
    range: str = ""

    def known_bytes(self) -> bytes:
        """Return the body, without the zeros that end a known file."""
        if isinstance(self.body, bytes):
            return self.body
        return self.body.read_bytes() if isinstance(self.body, Path) else self.body.head()

    def part(self, asked: str) -> Response:
        """Return those bytes alone, `0-99`; all where none are asked for."""
        if not asked:
            return self
        first, last = (int(number) for number in asked.split("-"))
        if first >= self.size:
            return Response(416, 0, b"")
        piece = self.known_bytes()[first : last + 1]
        span = f"{first}-{first + len(piece) - 1}/{self.size}"
        return self._replace(status=206, size=len(piece), body=piece, range=span)


def is_local(url: str) -> bool:
    """Return whether a URL points at this machine itself."""
    host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
    return host in {"localhost", "::1"} or host.startswith(("127.", "0."))


def request(url: str, authorization: str = "") -> Response:
    """Ask for a URL.

    A repository under `huggingface.co` in the `web` folder is closed if it has a file `.token`, which holds
    what opens it.

    Raises:
        UnknownHost: the name does not resolve.
    """
    clock.sleep(0.25)
    parts = urlsplit(url if "//" in url else f"http://{url}")
    host, path = parts.hostname or "", unquote(parts.path)
    web = _folder()
    if host == _HUB:
        return _hub(path, authorization)
    if host == _STORE:
        return _refusal(400) if authorization else _stored(path)
    if web and (file := web / host / path.lstrip("/")).is_file():
        return Response(200, file.stat().st_size, file, type="application/octet-stream")
    if host not in _HOSTS and not (web and (web / host).is_dir()):
        raise UnknownHost(host)
    known = _civitai(path) if host == "civitai.com" else None
    return _led_to_store(f"{known.repo}/{known.name}") if known else _refusal(404)


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
    return response.known_bytes()


def _folder() -> Path | None:
    name = machine().web
    return Path(name) if name else None


def _hub(path: str, authorization: str) -> Response:
    segments = path.strip("/").split("/")
    repo, name = "/".join(segments[:2]), "/".join(segments[4:])
    if status := _hub_refuses(repo, authorization):
        return _refusal(status)
    if segments[2:3] == ["resolve"] and _stored(f"/{repo}/{name}").status == 200:
        return _led_to_store(f"{repo}/{name}")
    return _refusal(404)


def _hub_refuses(repo: str, authorization: str) -> int | None:
    if "hub_429" in machine().faults:
        return 429
    if authorization and not authorization.startswith("Bearer hf_"):
        return 401
    web = _folder()
    own = web / _HUB / repo if web else Path()
    if web and (own / ".token").is_file():
        opens = authorization == f"Bearer {(own / '.token').read_text(encoding='utf-8').strip()}"
        return None if opens else 403 if authorization else 401
    if (web and own.is_dir()) or any(known.repo == repo for known in catalog.files()):
        return None
    return 404 if authorization else 401  # it tells nobody whether there is such a repository


def _led_to_store(name: str) -> Response:
    target = f"https://{_STORE}/{name}?X-Amz-Expires=3600"
    text = f"Found. Redirecting to {target}".encode()
    return Response(302, len(text), text, location=target)


def _stored(path: str) -> Response:
    web = _folder()
    user, _, rest = path.strip("/").partition("/")
    repo, _, name = rest.partition("/")
    if web and (file := web / _HUB / user / repo / "resolve/main" / name).is_file():
        return Response(200, file.stat().st_size, file, type="binary/octet-stream")
    known = next((one for one in catalog.files() if f"/{one.repo}/{one.name}" == path), None)
    return Response(200, known.size, known, type="binary/octet-stream") if known else _refusal(404)


def _civitai(path: str) -> catalog.KnownFile | None:
    """Return the file of that version; ?type=&format= would choose among several, and here there is one."""
    *_, kind, version = ["", "", *path.strip("/").split("/")]
    return next((one for one in catalog.files() if kind == "models" and version == one.civitai), None)


def _refusal(status: int) -> Response:
    text = _REFUSALS[status]
    return Response(status, len(text), text)


def _append(descriptor: int, body: bytes | Path | catalog.KnownFile, offset: int, size: int) -> None:
    """Write `size` bytes of the body at `offset`; the zeros of a known file become a hole."""
    if isinstance(body, Path):
        with body.open("rb") as source:
            source.seek(offset)
            os.pwrite(descriptor, source.read(size), offset)
            return
    head = body if isinstance(body, bytes) else body.head()
    os.pwrite(descriptor, head[offset : offset + size], offset)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.truncate(descriptor, offset + size)
