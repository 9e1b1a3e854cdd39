"""A hub, a locked host, their store and an open host as one https server on loopback, reached by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from cryptography import x509
from loopback_tls import listening

HUB, LOCKED, STORE, OTHER = "huggingface.co", "locked.example", "store.example", "other.example"
STRANGER = "stranger.example"
"""A host without a certificate."""


@dataclass
class Asked:
    """One request."""

    host: str
    path: str
    range: str | None
    authorization: str | None


@dataclass
class Hub:
    """What is served, how, and what was asked for.

    Attributes:
        content: of every file; None for a 404.
        token: what opens the hub and the locked host; None where nothing needs to.
        ranges: whether the server goes on in the middle.
        sized: whether it says how much will come.
        break_after: bytes after which the next whole answer breaks off.
        leads_to: where both redirect, less the file's path.
    """

    curlrc: str = ""
    content: bytes | None = b""
    token: str | None = None
    ranges: bool = True
    sized: bool = True
    break_after: int | None = None
    leads_to: str = f"https://{STORE}"
    asked: list[Asked] = field(default_factory=list)

    def downloads(self, host: str) -> list[str | None]:
        """Return the ranges that were asked of a host, less the look at the first byte."""
        return [one.range for one in self.asked if one.host == host and one.range != "bytes=0-0"]


@contextmanager
def serving(certificate: Path) -> Iterator[Hub]:
    """Serve with a new certificate, which is written to a file together with its key."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it
            pass

        def do_GET(self) -> None:
            host = self.headers["Host"]
            asked = Asked(host, self.path, self.headers.get("Range"), self.headers.get("Authorization"))
            hub.asked.append(asked)
            if host in (HUB, LOCKED) and hub.token and asked.authorization != f"Bearer {hub.token}":
                self.say(403 if asked.authorization else 401)
            elif host == STORE and asked.authorization:
                self.say(400)
            elif hub.content is None:
                self.say(404)
            elif host in (HUB, LOCKED):
                self.say(302, Location=f"{hub.leads_to}{self.path}?signed=1")
            else:
                self.give(hub.content, asked.range if hub.ranges else None)

        def say(self, status: int, **headers: str) -> None:
            text = b"<html>" + b"-" * 1000
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(text)

        def give(self, content: bytes, asked: str | None) -> None:
            first, _, last = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
            start, end = int(first), int(last) + 1 if last else len(content)
            if asked and start >= len(content):
                self.say(416, Content_Range=f"bytes */{len(content)}")
                return
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
            if hub.sized:
                self.send_header("Content-Length", str(end - start))
            self.end_headers()
            if asked != "bytes=0-0" and hub.break_after:
                end, hub.break_after = start + hub.break_after, None
            self.wfile.write(content[start:end])

    names = [x509.DNSName(name) for name in (HUB, LOCKED, STORE, OTHER)]
    with listening(Handler, certificate, names) as port:
        hub.curlrc = "".join(
            f"connect-to = {name}:443:127.0.0.1:{port}\n" for name in (HUB, LOCKED, STORE, OTHER, STRANGER)
        )
        yield hub
