"""Files to and from a machine, whole or not at all; what broke off goes on where it ended.

Up: what the machine lacks goes into a side folder, is verified there and then moved into place. A file that
it has under another name is linked, not sent. Small files go as one tar stream; a big one goes as a stream of
its own, or, where the machine has an older version of it and both sides have rsync, as a delta.
Down: into a part file, verified by hash, synced and renamed.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from glob import escape
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from components.errors import CommandFailed, TransferFailed
from components.remote import rsync, stream
from components.remote.job import WORKSPACE
from components.remote.landing import HASH, Landing, check_room
from components.remote.manifest import File, begun, compare, part, sha256
from components.remote.pipe import draw
from components.remote.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from components.remote.manifest import Manifest
    from components.remote.progress import Tell
    from components.remote.shell import Shell

BIG: Final = 64 << 20
"""Bytes from which a file is worth a connection of its own, and a delta."""

_HASH_SECONDS: Final = 3600


def send(shell: Shell, source: Path, manifest: Manifest, folder: str, tell: Tell) -> int:
    """Make `folder` (relative to the workspace) hold exactly the files of `manifest`.

    Returns:
        The bytes that were sent.

    Raises:
        TransferFailed: a file cannot be read, changed meanwhile or did not arrive whole, the machine's disk
            has no room, another sends the same folder, or the connection broke off. It is as it was.
    """
    landing = Landing(shell, folder)
    with landing.alone():
        return _send(shell, source, manifest, landing, tell)


def _send(shell: Shell, source: Path, manifest: Manifest, landing: Landing, tell: Tell) -> int:
    folder = landing.folder
    there, side = landing.look(manifest)
    if there and {path: found.sha256 for path, found in there.items()} == manifest.hashes:
        return 0
    delta = compare(manifest, there, side)
    small = [file for file in delta.missing if file.size < BIG]
    big = [file for file in delta.missing if file.size >= BIG]
    older = [file for file in big if file.path in there]
    changed = older if older and rsync.usable(shell) else []
    offsets = {file: begun(file, side[part(file)].size) if part(file) in side else 0 for file in big}
    offsets = {file: offset for file, offset in offsets.items() if file not in changed}
    left = sum(file.size for file in delta.missing) - sum(offsets.values())

    landing.prepare(delta.stale, left)
    progress = Progress(left, tell)
    sent = left - sum(file.size for file in changed)
    arrived: dict[str, str] = {}
    if delta.links:
        links = {f"{landing.side}/{path}": f"{folder}/{origin}" for path, origin in delta.links.items()}
        stream.link(shell, links)
    if small:
        arrived |= stream.small(shell, source, small, landing.side, progress)
    for file, offset in offsets.items():
        path = f"{landing.side}/{file.path}"
        arrived[file.path] = stream.big(shell, source / file.path, file, path, offset, progress)
    if changed:
        landing.complete(file.path for file in changed if file.path in side)
        sent += rsync.update(shell, source, changed, landing.side, folder, progress)
        arrived |= {file.path: landing.digest(file.path) for file in changed}
    broken = [file.path for file in delta.missing if arrived.get(file.path) != file.sha256]
    if broken:
        raise TransferFailed(
            f"{len(broken)} files did not arrive whole or changed meanwhile, such as {broken[0]}; "
            "what was there before is untouched. Run it again."
        )
    landing.move(manifest, delta.surplus)
    return sent


def send_file(shell: Shell, source: Path, digest: str, path: str, tell: Tell) -> int:
    """Make `path` (relative to the workspace) on the machine the same file as `source`, of that SHA-256.

    Returns:
        The bytes that were sent.

    Raises:
        TransferFailed: as `send`; a file that was at `path` is as it was.
    """
    file = File(source.name, source.stat().st_size, digest)
    folder = shlex.quote(str(PurePosixPath(path).parent))
    quoted = shlex.quote(path)
    words = shell.run(
        f"looking for {path}",
        f"""cd "{WORKSPACE}" && mkdir -p -- {folder}
if [ "$(stat -c %s -- {quoted} 2>&1)" = {file.size} ]; then {HASH} < {quoted}; else echo none -; fi
stat -c %s -- {folder}/{part(file)} 2>/dev/null || echo 0
stat -f -c '%a %S' -- {folder}""",
        timeout=_HASH_SECONDS,
    ).split()
    if words[0] == file.sha256:
        return 0
    offset = begun(file, int(words[2]))
    check_room(path, file.size - offset, words[3:])
    if stream.big(shell, source, file, path, offset, Progress(file.size - offset, tell)) != file.sha256:
        raise TransferFailed(f"{source} changed while it was sent, or did not arrive whole. Run it again.")
    return file.size - offset


def fetch(shell: Shell, path: str, target: Path, tell: Tell) -> str:
    """Bring one file (`path` relative to the workspace) home to `target` and return its SHA-256.

    A target with the right hash already is left alone; a wrong one is replaced at once, never half. What
    arrived before a connection broke off waits beside it, and is not sent again.

    Raises:
        TransferFailed: it does not exist there, did not arrive whole, cannot be written here, or the
            connection broke off.
    """
    quoted = shlex.quote(path)
    try:
        words = shell.run(
            f"hashing {path}",
            f'cd "{WORKSPACE}"; stat -c %s -- {quoted}; {HASH} < {quoted}',
            timeout=_HASH_SECONDS,
        ).split()
    except CommandFailed as error:
        raise TransferFailed(f"{path} cannot be read on the machine: {error.output.strip()[-200:]}") from None
    size, digest = int(words[0]), words[1]
    if target.is_file() and sha256(target) == digest:
        return digest
    beginning = target.with_name(f".{target.name}.{digest[:16]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for other in target.parent.glob(f".{escape(target.name)}.*.part"):
            if other != beginning:
                other.unlink()
        found = _continue(shell, path, beginning, size, tell)
    except OSError as error:
        raise TransferFailed(f"{target}: {error.strerror}") from None
    if found != digest:
        beginning.unlink()
        raise TransferFailed(f"{path} did not arrive whole; run it again")
    beginning.replace(target)
    return digest


def _continue(shell: Shell, path: str, beginning: Path, size: int, tell: Tell) -> str:
    """Append to `beginning` what it lacks of a file on the machine, and return the hash of all."""
    with beginning.open("ab+") as file:
        file.seek(0)
        found = hashlib.file_digest(file, "sha256")
        progress = Progress(size - file.tell(), tell)

        def take(block: bytes) -> None:
            file.write(block)
            found.update(block)
            progress.add(len(block))

        script = f'cd "{WORKSPACE}" && exec tail -c +{file.tell() + 1} -- {shlex.quote(path)}'
        draw(shell, f"fetching {path}", script, take)
        file.flush()
        os.fsync(file.fileno())
    return found.hexdigest()
