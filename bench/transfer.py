"""How fast do files get to a machine? Against scp, rsync, and a tar stream as the limit, of the same run.

Every way is measured in turn, three times, on loopback: this computer is both ends, and the machine is one
of the simulator, whose SSH server is Python. `full` takes 10,000 files and one of 6 GB. A number of MB/s
makes the way there so slow: what a change costs, beside a first send, depends on that.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Final

from bench.relay import relay
from bench.world import cloud
from components.remote import openssh
from components.remote.manifest import scan
from components.remote.shell import connect
from components.remote.transfer import send
from components.spec.node import Gpu, Node
from components.vast import keys
from components.vast.client import Api
from components.vast.lifecycle import Acquisition
from components.vast.machines import BadMachines
from components.vast.release import release
from components.vast.request import RentRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from components.remote.shell import Login

_RUNS: Final = 3
_CLEAR: Final = "cd /workspace && rm -rf there .fragua && mkdir there && sync"
_CI: Final = ((1_000, 100_000), (1, 200_000_000))
_FULL: Final = ((10_000, 100_000), (1, 6_000_000_000))
"""How many files, and the bytes of each."""

_NODE: Final = Node(
    gpu=Gpu(models=("RTX 4090", "RTX 3090", "RTX A6000"), cuda=11),
    image="vastai/pytorch:2.7.1-cu128-py311",
    disk=40,
    max_price=3,
    reliability=0.5,
)


def main(root: Path, *arguments: str) -> None:
    """Measure and print; `arguments` may hold `full` and a number of MB/s."""
    rates = [float(each) for each in arguments if each != "full"]
    with tempfile.TemporaryDirectory() as name, cloud(root, Path(name), 600) as variables:
        os.environ["FRAGUA_HOME"] = name
        with _rented(variables) as login, relay(login.port, 1e6 * (rates or [1e6])[0]) as port:
            reached = replace(login, port=port) if rates else login
            for count, size in _FULL if "full" in arguments else _CI:
                source = Path(name) / "source"
                source.mkdir()
                for number in range(count):
                    _fill(source / f"{number:05}.bin", size)
                _measure(Bench(reached, source, Path(name) / "key"), f"{count} of {size / 1e6:g} MB")
                shutil.rmtree(source)


class Bench:
    """The ways to send a folder to a machine; each returns the seconds that it took."""

    def __init__(self, login: Login, source: Path, folder: Path) -> None:
        """Send `source` to the machine of `login`, whose key goes into `folder`."""
        self.login, self.source = login, source
        self._fast = openssh.arguments(login, folder)
        self._plain = [each for each in self._fast if not each.startswith("-oCiphers")]
        self.sent = 0

    def ways(self) -> dict[str, Callable[[], float]]:
        """Return all, by name."""
        return {
            "tar | ssh tar": lambda: self._tar(self._plain),
            "tar | ssh tar, with fragua's cipher": lambda: self._tar(self._fast),
            "scp -r": self._scp,
            "rsync -a": self._rsync,
            "fragua": self._fragua,
        }

    def _tar(self, ssh: list[str]) -> float:
        pack = ["tar", "-C", str(self.source), "-cf", "-", "."]
        start = time.monotonic()
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as tar:
            unpack = [*ssh, openssh.MACHINE, "tar -xf - -C /workspace/there"]
            subprocess.run(unpack, stdin=tar.stdout, check=True)
        return time.monotonic() - start

    def _scp(self) -> float:
        return _timed(
            ["scp", *self._plain[1:], "-rq", str(self.source), f"{openssh.MACHINE}:/workspace/there"]
        )

    def _rsync(self) -> float:
        there = f"{openssh.MACHINE}:/workspace/there/"
        return _timed(["rsync", "-a", "-e", shlex.join(self._plain), f"{self.source}/", there])

    def _fragua(self) -> float:
        manifest = scan(self.source)
        start = time.monotonic()
        with connect(self.login) as shell:
            self.sent = send(shell, self.source, manifest, "there", lambda *_: None)
        return time.monotonic() - start


def _measure(bench: Bench, what: str) -> None:
    first: dict[str, list[float]] = defaultdict(list)
    change: dict[str, list[float]] = defaultdict(list)
    for run in range(_RUNS):
        ways = list(bench.ways().items())
        for way, go in ways[run:] + ways[:run]:  # what comes later finds a busier disk
            with connect(bench.login) as shell:
                shell.run("clearing", _CLEAR, timeout=600)
            first[way].append(go())
            if way in ("rsync -a", "fragua"):
                _change(bench.source, Random(f"{run} {way}"))
                change[way].append(go())
    size = sum(path.stat().st_size for path in bench.source.iterdir())
    print(f"{what}, medians of {_RUNS}\n{'':36}  first     MB/s  of tar's    1 % new  of first", flush=True)
    for way, times in first.items():
        seconds = median(times)
        ratio = median(limit / each for limit, each in zip(first["tar | ssh tar"], times, strict=True))
        line = f"  {way:35}{seconds:6.2f} s {size / seconds / 1e6:7.0f} {ratio:8.2f}"
        if way in change:
            again = median(change[way])
            line += f" {again:9.2f} s {100 * again / seconds:7.1f} %"
        print(line, flush=True)
    start = time.monotonic()
    scan(bench.source)
    print(f"  aims: 0.9 and 5 %; of the bytes {100 * bench.sent / size:.2f} % were sent again")
    print(f"  reading and hashing it here, which the plan does: {time.monotonic() - start:.2f} s", flush=True)


def _change(source: Path, random: Random) -> None:
    """Give 1 % of the files other content, or of a single file 1 %."""
    paths = sorted(source.iterdir())
    if len(paths) > 1:
        for path in random.sample(paths, len(paths) // 100):
            path.write_bytes(random.randbytes(path.stat().st_size))
        return
    size = paths[0].stat().st_size
    with paths[0].open("r+b") as file:
        file.seek(random.randrange(size * 9 // 10))
        file.write(random.randbytes(size // 100))


def _fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - start)))


def _timed(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True)
    return time.monotonic() - start


@contextmanager
def _rented(variables: dict[str, str]) -> Iterator[Login]:
    """Rent a machine of the simulator for the time of the block."""
    api = Api(variables["VAST_URL"], variables["VAST_API_KEY"])
    private, public = keys.generate("fragua bench")
    request = RentRequest(
        stack="bench", name="node", node=_NODE, count=1, public_key=public, private_key=private
    )
    keys.register(api, public)
    try:
        [machine] = Acquisition(api, request, BadMachines(api.url), lambda _: None, None).run()
        yield machine.login
    finally:
        release(api, [], request.owner)
