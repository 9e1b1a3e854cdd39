"""Files to and from a machine, over one SSH connection, whole or not at all.

Up: the machine tells which files it has by hash; the rest goes as one tar stream into a side folder, is
verified there and then moved into place. Down: into a part file, verified by hash, synced and renamed.
"""

from __future__ import annotations

import os
import shlex
import tarfile
import time
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from components.errors import CommandFailed, TransferFailed
from components.remote.job import WORKSPACE
from components.remote.manifest import sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from components.remote.manifest import File, Manifest
    from components.remote.shell import Shell

_HASH_SECONDS: Final = 3600
_BLOCK: Final = 1 << 20
_TELL_EVERY: Final = 0.5


class Progress:
    """Tells how far a transfer is, twice a second at most."""

    def __init__(self, total: int, tell: Callable[[int, int, float], None]) -> None:
        """Count up to `total` bytes; `tell` gets bytes done, bytes in all, and bytes a second."""
        self.done, self.total, self._tell = 0, total, tell
        self._start = self._told = time.monotonic()

    def add(self, count: int) -> None:
        """Count `count` more bytes."""
        self.done += count
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY or self.done == self.total:
            self._told = now
            self._tell(self.done, self.total, self.done / max(now - self._start, 1e-6))


class _Counted:
    """A file that counts what is read from it."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._progress.add(len(block))
        return block


def send(
    shell: Shell, source: Path, manifest: Manifest, folder: str, tell: Callable[[int, int, float], None]
) -> int:
    """Make `folder` (relative to the workspace) hold exactly the files of `manifest`.

    Returns:
        The bytes that were sent.

    Raises:
        TransferFailed: a file changed while it was read, or did not arrive whole.
    """
    there = _remote_hashes(shell, folder)
    missing = [file for file in manifest.files if there.get(file.path) != file.sha256]
    surplus = there.keys() - {file.path for file in manifest.files}
    incoming = f"{folder}.incoming"
    if missing:
        _stream(shell, source, missing, incoming, Progress(sum(file.size for file in missing), tell))
        arrived = _remote_hashes(shell, incoming)
        broken = [file.path for file in missing if arrived.get(file.path) != file.sha256]
        if broken:
            raise TransferFailed(
                f"{len(broken)} files did not arrive whole or changed meanwhile, such as {broken[0]}; "
                "what was there before is untouched. Run it again."
            )
    shell.run(
        "putting the sent files in place",
        f"""cd "{WORKSPACE}"
set -e
mkdir -p {shlex.quote(folder)}
if [ -d {shlex.quote(incoming)} ]; then
  (cd {shlex.quote(incoming)} && tar -cf - .) | tar -xf - -C {shlex.quote(folder)}
  rm -rf {shlex.quote(incoming)}
fi
cd {shlex.quote(folder)}
xargs -0 rm -f --""",
        stdin="\0".join(sorted(surplus)),
        timeout=_HASH_SECONDS,
    )
    return sum(file.size for file in missing)


def _stream(shell: Shell, source: Path, files: Iterable[File], folder: str, progress: Progress) -> None:
    quoted = shlex.quote(folder)
    channel = shell.connection.transport.open_session()
    script = f'cd "{WORKSPACE}" && rm -rf {quoted} && mkdir -p {quoted} && exec tar -xf - -C {quoted} 2>&1'
    channel.exec_command(f"bash -c {shlex.quote(script)}")
    writer = channel.makefile_stdin("wb", _BLOCK)
    try:
        with tarfile.open(fileobj=writer, mode="w|", bufsize=_BLOCK, format=tarfile.PAX_FORMAT) as archive:
            for file in files:
                info = tarfile.TarInfo(file.path)
                info.size, info.mode, info.mtime = file.size, 0o644, int(time.time())
                with (source / file.path).open("rb") as content:
                    archive.addfile(info, _Counted(content, progress))
        writer.flush()
        channel.shutdown_write()
        words = channel.makefile("rb").read(4096).decode(errors="replace")
        code = channel.recv_exit_status()
    except OSError as error:
        raise TransferFailed(f"sending to the machine broke off: {error}; run it again") from None
    finally:
        channel.close()
    if code:
        raise CommandFailed("unpacking on the machine (is its disk full?)", code, words)


def _remote_hashes(shell: Shell, folder: str) -> dict[str, str]:
    output = shell.run(
        "hashing what is on the machine",
        f'cd "{WORKSPACE}/"{shlex.quote(folder)} 2>/dev/null || exit 0\n'
        "find . -type f -printf '%P\\0' | xargs -0 -r sha256sum --",
        timeout=_HASH_SECONDS,
    )
    return {path: digest for digest, _, path in (line.partition("  ") for line in output.splitlines())}


def fetch(shell: Shell, path: str, target: Path, tell: Callable[[int, int, float], None]) -> str:
    """Bring one file (`path` relative to the workspace) home to `target` and return its SHA-256.

    A target with the right hash already is left alone; a wrong one is replaced at once, never half.

    Raises:
        TransferFailed: it does not exist there, or did not arrive whole.
    """
    quoted = shlex.quote(str(PurePosixPath(path)))
    try:
        words = shell.run(
            f"hashing {path}",
            f'cd "{WORKSPACE}"; stat -c %s {quoted}; sha256sum < {quoted}',
            timeout=_HASH_SECONDS,
        ).split()
    except CommandFailed as error:
        raise TransferFailed(f"{path} cannot be read on the machine: {error.output.strip()[-200:]}") from None
    size, digest = int(words[0]), words[1]
    if target.is_file() and sha256(target) == digest:
        return digest
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    progress = Progress(size, tell)
    channel = shell.connection.transport.open_session()
    channel.exec_command(f'cd "{WORKSPACE}" && exec cat {quoted}')
    with part.open("wb") as file:
        while block := channel.recv(_BLOCK):
            file.write(block)
            progress.add(len(block))
        file.flush()
        os.fsync(file.fileno())
    if sha256(part) != digest:
        part.unlink()
        raise TransferFailed(f"{path} did not arrive whole; run it again")
    part.replace(target)
    return digest
