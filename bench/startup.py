"""How long from `pulumi up` to the first training step? Against the sum of the steps, and the longest chain.

One run of 200 photographs on a simulated machine. The simulator gives image, packages and base model the
machine's bandwidth, each for itself; here a relay gives the dataset that of a home. The clock runs as fast
as the real one, so that what fragua itself takes counts for what it is.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import requests

from bench.relay import relay
from bench.world import Project, cloud, photographs
from cli.project import lay_out
from components.kohya.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMAGES: Final = 200
_UPLINK: Final = 10e6
"""Bytes a second from this computer."""

_PORT: Final = re.compile(rb'("HostPort": ?"|"ssh_port": ?)(\d+)')


def main(root: Path) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs(folder / "dataset", _IMAGES, "png")
        with cloud(root, folder, 1) as settings, _slow(settings) as variables:
            lay_out(root, folder / "fragua")
            job = {"job": "configs/sdxl-lora.yaml", "override__dataset__path": str(folder / "dataset")}
            project = Project(folder / "fragua", variables, **job)
            _Run(folder, variables).measure()
            project.pulumi("destroy", "--yes", "--skip-preview")


class _Run:
    """One `pulumi up`, and when things happened in it: seconds after its beginning."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self._folder, self._variables = folder, variables
        self._start = time.time()
        self._lines: list[tuple[float, str]] = []
        self._first_step = 0.0

    def measure(self) -> None:
        """Run it and print what it took."""
        watch = threading.Thread(target=self._watch, daemon=True)
        watch.start()
        self._up()
        returned = self._at(time.time())
        watch.join()
        ledger = requests.get(f"{self._variables['VAST_URL']}/_sim/ledger", timeout=30).json()
        by_status = ledger["contracts"][0]["seconds"]
        running = returned - by_status.pop("running")
        boot = _Step("image pulled, container booted", running - sum(by_status.values()), running)
        install, model = self._job("install", "installation"), self._job("base-model", "base model")
        dataset = _Step(
            f"dataset sent, at {_UPLINK / 1e6:g} MB/s", self._line("Folder dataset creating"),
            self._line("Folder dataset created"),
        )  # fmt: skip
        begun = self._at(self._file("train-*/script"))
        training = _Step("model loaded, images encoded, first step", begun, self._first_step)
        steps = [
            _Step("plugins, dataset checked and hashed, offer", 0, boot.start),
            boot,
            _Step("ports told, SSH, GPU and disk verified", boot.end, install.start),
            install,
            model,
            dataset,
            training,
            _Step("first step seen, `up` returned", training.end, returned),
        ]
        print(f"{'':44}begins    takes")
        for step in steps:
            print(f"{step.what:44}{step.start:6.1f} {step.seconds:6.1f} s")
        together = [install.seconds, model.seconds, dataset.seconds]
        total = boot.seconds + sum(together) + training.seconds
        limit = boot.seconds + max(together) + training.seconds
        print(
            f"first step after {self._first_step:.1f} s; one after another, without the rest, {total:.1f} s: "
            f"ratio {self._first_step / total:.2f}\n"
            f"the longest chain is {limit:.1f} s: ratio {self._first_step / limit:.2f}, aim: at most 1.15; "
            f"until `up` returned {returned / limit:.2f}",
            flush=True,
        )

    def _up(self) -> None:
        with subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
            cwd=self._folder / "fragua",
            env={**os.environ, **self._variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            for line in process.stdout or ():
                self._lines.append((self._at(time.time()), line))
        if process.returncode:
            raise SystemExit("".join(line for _, line in self._lines))

    def _watch(self) -> None:
        """Note when the trainer prints its first step."""
        while True:
            time.sleep(0.1)
            for log in self._files("train-*/log"):
                progress = Progress()
                progress.read(log.read_text(encoding="utf-8", errors="replace"))
                if progress.step:
                    self._first_step = self._at(time.time())
                    return

    def _job(self, name: str, what: str) -> _Step:
        return _Step(what, self._at(self._file(f"{name}/script")), self._at(self._file(f"{name}/exit")))

    def _file(self, pattern: str) -> float:
        [file] = self._files(pattern)
        return file.stat().st_mtime

    def _files(self, pattern: str) -> list[Path]:
        return list(self._folder.glob(f"cloud/machines/*/rootfs/workspace/.fragua/jobs/{pattern}"))

    def _line(self, words: str) -> float:
        return next(at for at, line in self._lines if words in line)

    def _at(self, moment: float) -> float:
        return moment - self._start


class _Step(NamedTuple):
    what: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@contextmanager
def _slow(settings: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield settings of the same simulator, whose machines are reached at the speed of `_UPLINK`."""
    ways: dict[bytes, bytes] = {}
    with ExitStack() as stack:

        def way(match: re.Match[bytes]) -> bytes:
            before, port = match.groups()
            if port not in ways:
                ways[port] = b"%d" % stack.enter_context(relay(int(port), _UPLINK))
            return before + ways[port]

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline()
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                reply = requests.request(
                    self.command,
                    settings["VAST_URL"] + self.path,
                    headers=dict(self.headers),
                    data=self.rfile.read(int(self.headers.get("Content-Length", 0))),
                    timeout=60,
                )
                body = _PORT.sub(way, reply.content)
                self.send_response(reply.status_code)
                self.send_header("Content-Type", reply.headers.get("Content-Type", ""))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {**settings, "VAST_URL": f"http://127.0.0.1:{server.server_port}"}
