"""An https server on loopback that serves one content, goes on in the middle, and can break off."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from cryptography import x509
from loopback_tls import listening


class HttpsServer:
    """What is served, and what was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.content: bytes | None = None
        self.break_after: int | None = None
        """Bytes after which the connection is closed, once."""
        self.paths: list[str] = []
        self.ranges: list[str | None] = []
        self.token: str | None = None
        """What opens it; None where nothing needs to."""


@contextmanager
def serving(certificate: Path) -> Iterator[HttpsServer]:
    """Serve with a new certificate, which is written to a file together with its key."""
    state = HttpsServer()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it
            pass

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.paths.append(self.path)
            state.ranges.append(asked)
            if state.token and self.headers.get("Authorization") != f"Bearer {state.token}":
                self.send_error(401)
                return
            if state.content is None:
                self.send_error(404)
                return
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if start >= len(state.content) > 0:
                self.send_error(416)
                return
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(state.content) - start))
            if asked:
                whole = len(state.content)
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            self.end_headers()
            end, state.break_after = state.break_after, None
            self.wfile.write(state.content[start:end])

    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    with listening(Handler, certificate, names) as port:
        state.url = f"https://127.0.0.1:{port}"
        yield state
