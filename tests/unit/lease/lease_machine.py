"""A machine for its watchdog alone: real bash, with an uptime that passes only when the test says so."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from components.remote.job import Job, start_script
from components.vast import lease
from components.vast.lease import Lease, LeaseStatus

KEY = "canary-container-key"
URL = "https://console.vast.ai"
RATE = 0.5
"""$/h."""

_PROGRAMS = {
    "sleep": "exec /bin/sleep 0.01",
    "date": "echo 'Fri Jan  1 00:00:00 UTC 2100'",
    "nvidia-smi": "cat gpu",
    "curl": """echo "$*" >> calls
    grep -qx 'Authorization: Bearer KEY' header || { echo 403; exit; }
    cat answer""",
}


@dataclass
class Machine:
    """One machine under a folder; its root's home is the folder itself."""

    root: Path
    up: int = 1000
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = self.root / "bin"
        programs.mkdir()
        for name, text in _PROGRAMS.items():
            lines = text.replace("KEY", KEY).replace("cat gpu", f"cat {self.root}/gpu")
            for file in ("calls", "answer"):
                lines = lines.replace(f" {file}", f" {self.root}/{file}")
            (programs / name).write_text(f"#!/bin/bash\n{lines}\n")
            (programs / name).chmod(0o755)
        self.environment = {
            "HOME": str(self.root),
            "WORKSPACE": str(self.root / "workspace"),
            "PATH": f"{programs}:{os.environ['PATH']}",
        }
        self.write("uptime", f"{self.up}.50 9.00\n")
        self.gpu(0)
        self.answers("200")
        self.network(0)

    @property
    def folder(self) -> Path:
        return self.root / ".fragua/lease"

    @property
    def calls(self) -> list[str]:
        """What was asked of the API: method and body, or all words."""
        file = self.root / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return ["destroy" if "-X DELETE" in line else "stop" for line in lines]

    def write(self, name: str, text: str) -> None:
        new = self.root / f"{name}.new"
        new.write_text(text)
        new.replace(self.root / name)

    def gpu(self, *percent: int) -> None:
        self.write("gpu", "".join(f"{each}\n" for each in percent))

    def answers(self, status: str) -> None:
        self.write("answer", status)

    def network(self, received: int) -> None:
        self.write(
            "net", f"Inter-| Receive\n face |bytes packets\n  lo: 99999999 1 0\neth0: {received} 7 0 0\n"
        )

    def run(self, script: str, shell: str = "bash", **more: str) -> str:
        text = script.replace("/proc/uptime", f"{self.root}/uptime").replace(
            "/proc/net/dev", f"{self.root}/net"
        )
        done = subprocess.run(
            [shell], input=text, env=self.environment | more, capture_output=True, text=True, check=True
        )
        return done.stdout

    def boot(self, wanted: Lease, aside: float = 0, before: float = 0) -> None:
        """Start the container, first or again; of its dollars, so many are set `aside` or spent `before`."""
        script = lease.start_script(wanted.limits(), URL, RATE, aside, before)
        self.run(script, "sh", CONTAINER_ID="4711", CONTAINER_API_KEY=KEY)
        self.looked()

    def looked(self) -> None:
        """Wait until the watchdog has looked at the present twice: what it does about it is done then."""
        for _ in range(2):
            before, deadline = self._count()[0], time.monotonic() + 20
            while (now := self._count())[0] == before or f" last={self.up} " not in now[1]:
                assert time.monotonic() < deadline, "the watchdog does not look"
                with suppress(FileNotFoundError):
                    pipe = os.open(self.folder / "wake", os.O_RDWR)
                    os.write(pipe, b"\n")
                    os.close(pipe)
                time.sleep(0.02)

    def _count(self) -> tuple[int, str]:
        with suppress(FileNotFoundError), (self.folder / "count").open() as file:
            return os.fstat(file.fileno()).st_ino, file.read()
        return 0, ""

    def later(self, seconds: int) -> None:
        """Let time pass, and the watchdog look."""
        self.up += seconds
        self.write("uptime", f"{self.up}.50 9.00\n")
        self.looked()

    def status(self) -> LeaseStatus:
        found = lease.parse_status(self.run(lease.status_script()))
        assert found is not None
        return found

    def work(self, name: str) -> None:
        """Start a job that never ends by itself."""
        self.run(start_script(Job(name, "/bin/sleep 1000")))

    def ended(self, name: str, code: int) -> None:
        """Let there be a job that has ended."""
        folder = f"workspace/.fragua/jobs/{name}"
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.write(f"{folder}/exit", f"{code}\n")

    def working(self, name: str) -> bool:
        busy = f"cd {self.root}/workspace/.fragua/jobs/{name}; flock -n lock true || echo busy"
        return self.run(busy) == "busy\n"

    def kill(self) -> None:
        """Kill all that runs, as SIGKILL does: the container went down, or somebody wanted it."""
        self._kill(b"")
        deadline = time.monotonic() + 20
        while self.folder.exists() and self.status().alive:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def kill_watchdog(self) -> None:
        """Kill the loop itself, as a machine does that is out of memory."""
        self._kill(b"bash\0watchdog\0")

    def _kill(self, command: bytes) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                own = f"HOME={self.root}\0".encode() in (process / "environ").read_bytes()
                if own and (process / "cmdline").read_bytes().startswith(command):
                    os.kill(int(process.name), signal.SIGKILL)
