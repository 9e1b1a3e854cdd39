"""Folders to send, what is there of them, and connections that break."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from components.remote.manifest import scan
from components.remote.shell import Shell
from components.remote.transfer import send

BIG = 12 << 20


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def silent(_done: int, _total: int, _rate: float) -> None:
    """Tell nothing."""


def there(shell: Shell, folder: str = "folder") -> dict[str, str]:
    """Return path and hash of everything in a folder, hidden or not; nothing else may be in it."""
    output = shell.run(
        "listing", f"cd /workspace/{folder} 2>&1 || exit 0; find . -type f | xargs -rd '\\n' sha256sum"
    )
    return {
        path.removeprefix("./"): digest
        for digest, _, path in (line.partition("  ") for line in output.splitlines())
        if path
    }


def put(shell: Shell, source: Path, tell: Callable[[int, int, float], None] = silent) -> int:
    manifest = scan(source)
    sent = send(shell, source, manifest, "folder", tell)
    assert there(shell) == manifest.hashes
    assert shell.run("listing", "cd /workspace; ls -d folder.*; true") == ""
    return sent


def programs() -> Iterator[tuple[int, str]]:
    """Return the children of this process: number and name."""
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # it has ended
            for pid in (task / "children").read_text().split():
                yield int(pid), Path(f"/proc/{pid}/comm").read_text().strip()


class Cut:
    """A `tell` that breaks the connection once half is done."""

    def __init__(self, shell: Shell) -> None:
        self.shell, self.done = shell, 0

    def __call__(self, done: int, total: int, _rate: float) -> None:
        if not self.done and done > total // 2:
            self.done = done
            children = [pid for pid, name in programs() if name in ("ssh", "rsync")]
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            if not children:
                self.shell.connection.transport.close()
