"""Sending a folder or a file as its resource declares it. Knows no Pulumi."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TransferFailed
from components.known import forget
from components.remote.manifest import scan, sha256
from components.remote.model import uploaded
from components.remote.shell import PATIENCE, Login, connect
from components.remote.transfer import send, send_file
from components.say import say

if TYPE_CHECKING:
    from components.remote.progress import Tell


def upload(props: dict[str, Any]) -> dict[str, Any]:
    """Make the machine's folder hold what the local one holds, and return `props`.

    Raises:
        TransferFailed: the local folder is not what was planned, or did not arrive whole.
    """
    source, folder = Path(props["source"]), props["folder"]
    with ThreadPoolExecutor(1) as pool:
        scanning = pool.submit(scan, source)  # while the machine is dialled: it bills
        with connect(Login.of(props["login"]), PATIENCE) as shell:
            manifest = scanning.result()
            if manifest.digest != props["digest"]:
                forget(source)
                raise TransferFailed(f"{source} changed after the plan was made; run `pulumi up` again")
            sent = send(shell, source, manifest, folder, _teller(folder))
    mb = f"{manifest.size / 1e6:.1f} MB"
    say(f"{folder}: holds {len(manifest.files)} files, {mb}; {sent / 1e6:.1f} MB had to be sent")
    return props


def upload_file(props: dict[str, Any]) -> dict[str, Any]:
    """Make the machine's file the same as the local one, and return `props`.

    Raises:
        TransferFailed: the local file cannot be read, is not what was planned, or did not arrive whole.
    """
    source, path = Path(props["source"]), props["path"]
    with ThreadPoolExecutor(1) as pool:
        hashing = pool.submit(sha256, source)  # while the machine is dialled: it bills
        with connect(Login.of(props["login"]), PATIENCE) as shell:
            digest = hashing.result()
            if uploaded(source.name, digest).path != path:
                forget(source)
                raise TransferFailed(f"{source} changed after the plan was made; run `pulumi up` again")
            sent = send_file(shell, source, digest, path, _teller(path))
    say(f"{path}: there; {sent / 1e6:.1f} MB had to be sent")
    return props


def _teller(what: str) -> Tell:
    def tell(done: int, total: int, rate: float) -> None:
        share, left = 100 * done // max(total, 1), (total - done) / max(rate, 1)
        mb = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
        say(f"{what}: sent {mb} ({share} %), {rate / 1e6:.1f} MB/s, {left:.0f} s left")

    return tell
