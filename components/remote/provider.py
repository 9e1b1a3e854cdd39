"""The Pulumi dynamic provider of a folder on a machine. Its module path is part of every stack's state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ResourceProvider, UpdateResult

from components.errors import TransferFailed
from components.remote.manifest import scan
from components.remote.shell import Login, connect
from components.remote.transfer import send
from components.say import say


class FolderProvider(ResourceProvider):
    """Keeps a folder on a machine equal to one on this computer."""

    serialize_as_secret_always = False  # only a class name is serialized

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Send again for other content; start over on another machine or in another place."""
        replaces = [name for name in ("machine", "folder") if olds[name] != news[name]]
        return DiffResult(changes=bool(replaces) or olds["digest"] != news["digest"], replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Send the folder."""
        return CreateResult(f"{int(props['machine'])}/{props['folder']}", _sent(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Send what changed, remove what is gone."""
        return UpdateResult(_sent(news))


def _sent(props: dict[str, Any]) -> dict[str, Any]:
    source, folder = Path(props["source"]), props["folder"]
    manifest = scan(source)
    if manifest.digest != props["digest"]:
        raise TransferFailed(f"{source} changed after the plan was made; run `pulumi up` again")

    def tell(done: int, total: int, rate: float) -> None:
        share, left = 100 * done // max(total, 1), (total - done) / max(rate, 1)
        mb = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
        say(f"{folder}: sent {mb} ({share} %), {rate / 1e6:.1f} MB/s, {left:.0f} s left")

    with connect(Login.of(props["login"])) as shell:
        sent = send(shell, source, manifest, folder, tell)
    mb = f"{manifest.size / 1e6:.1f} MB"
    say(f"{folder}: holds {len(manifest.files)} files, {mb}; {sent / 1e6:.1f} MB had to be sent")
    return props
