"""`tensorboard`: its page, its runs and scalars, read from the event files of this image."""

from __future__ import annotations

import argparse
import json
import os
import struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from hardware import clock

from programs.console import fail, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE = (
    "<!doctype html><html><head><title>TensorBoard</title></head>"
    "<body><tf-tensorboard></tf-tensorboard></body></html>"
)


def main(arguments: list[str]) -> int:
    """Run TensorBoard until it is killed."""
    version = metadata.version("tensorboard")
    _need_pkg_resources(version)
    parser = argparse.ArgumentParser("tensorboard", allow_abbrev=True)
    for name in (
        "--logdir",
        "--host",
        "--path_prefix",
        "--reload_interval",
        "--window_title",
        "--samples_per_plugin",
    ):
        parser.add_argument(name, default="")
    parser.add_argument("--port", type=int, default=6006)
    parser.add_argument("--bind_all", action="store_true")
    parser.add_argument("--load_fast", default="auto")
    parser.add_argument("--version", action="version", version=version)
    args = parser.parse_args(arguments)
    if not args.logdir:
        fail("Error: A logdir or db must be specified. For example `tensorboard --logdir mylogdir`", 1)
    clock.sleep(4)
    host = "" if args.bind_all else args.host or "127.0.0.1"
    handler = type("_Handler", (_Handler,), {"logdir": Path(args.logdir)})
    try:
        server = ThreadingHTTPServer((host, args.port), handler)
    except OSError:
        fail(
            "E1124 tensorboard program.py:300] TensorBoard could not bind to port "
            f"{args.port}, it was already in use\n"
            f"ERROR: TensorBoard could not bind to port {args.port}, it was already in use",
            1,
        )
    if not args.bind_all and not args.host:
        warn("Serving TensorBoard on localhost; to expose to the network, use a proxy or pass --bind_all")
    shown = os.uname().nodename if args.bind_all else args.host or "localhost"
    warn(f"TensorBoard {version} at http://{shown}:{server.server_port}/ (Press CTRL+C to quit)")
    server.serve_forever()
    return 0


def _need_pkg_resources(version: str) -> None:
    """End as TensorBoard 2.20 and older do where setuptools no longer brings pkg_resources."""
    here, setuptools = _release(version), _release(metadata.version("setuptools"))
    if here < (2, 21) and setuptools >= (82, 0):
        fail(
            "Traceback (most recent call last):\n  import pkg_resources\n"
            "ModuleNotFoundError: No module named 'pkg_resources'",
            1,
        )


def _release(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


class _Handler(BaseHTTPRequestHandler):
    """Answers the page and the few data paths that a script would ask for."""

    logdir: Path

    def do_GET(self) -> None:
        """Answer a GET."""
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path in {"/", "/index.html"}:
            self._answer(200, "text/html", _PAGE.encode())
            return
        data = self._data(parts.path, query)
        if data is None:
            self._answer(404, "text/plain", b"Not found")
        else:
            self._answer(200, "application/json", json.dumps(data).encode())

    def _data(self, path: str, query: dict[str, str]) -> Any:
        match path:
            case "/data/logdir":
                return {"logdir": str(self.logdir)}
            case "/data/environment":
                return {
                    "version": metadata.version("tensorboard"),
                    "data_location": str(self.logdir),
                    "window_title": "",
                }
            case "/data/runs":
                return sorted(self._runs())
            case "/data/plugin/scalars/tags":
                return {
                    run: {tag: {"displayName": tag, "description": ""} for tag, *_ in _scalars(folder)}
                    for run, folder in self._runs().items()
                }
            case "/data/plugin/scalars/scalars":
                folder = self._runs().get(query.get("run", ""))
                wanted = query.get("tag")
                return (
                    None
                    if folder is None
                    else [list(rest) for tag, *rest in _scalars(folder) if tag == wanted]
                )
        return None

    def _runs(self) -> dict[str, Path]:
        folders = {file.parent for file in self.logdir.rglob("events.out.tfevents.*")}
        return {str(folder.relative_to(self.logdir)): folder for folder in folders}

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent, as TensorBoard does."""


def _scalars(folder: Path) -> Iterator[tuple[str, float, int, float]]:
    """Yield tag, wall time, step and value of every scalar in a folder's event files."""
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        at = 0
        while at + 12 <= len(data):
            (length,) = struct.unpack("<Q", data[at : at + 8])
            event = data[at + 12 : at + 12 + length]
            at += 16 + length
            fields = dict(_fields(event))
            if 5 in fields:
                value = dict(_fields(dict(_fields(fields[5]))[1]))
                (wall,) = struct.unpack("<d", fields[1])
                (scalar,) = struct.unpack("<f", value[2])
                yield value[1].decode(), wall, int.from_bytes(fields.get(2, b"\0"), "little"), scalar


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each field of a protobuf message; numbers as little-endian bytes."""
    at = 0
    while at < len(message):
        key = message[at]
        at += 1
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value.to_bytes(8, "little")
            continue
        if kind == 2:
            size, at = _varint(message, at)
        else:
            size = 8 if kind == 1 else 4
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
