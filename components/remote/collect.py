"""A folder on a machine brought home: its small files in one stream, its big ones each by itself."""

from __future__ import annotations

import os
import shlex
import tarfile
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

from components.errors import TransferFailed
from components.remote.job import WORKSPACE
from components.remote.manifest import sha256
from components.remote.pipe import draw
from components.remote.progress import Progress
from components.remote.transfer import BIG, fetch

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from components.remote.progress import Tell
    from components.remote.shell import Shell

_HASH_SECONDS: Final = 3600


def collect(shell: Shell, folder: str, target: Path, tell: Tell) -> dict[str, str]:
    """Bring every file of `folder` (relative to the workspace) home into `target`; return SHA-256 by path.

    What is at home with the right hash is left alone. A folder that is not there has no files.

    Raises:
        TransferFailed: one did not arrive whole, or the connection broke off. No half file has a file's name.
    """
    listing = shell.run(
        f"looking into {folder}",
        f'cd "{WORKSPACE}"/{shlex.quote(folder)} 2>/dev/null || exit 0\n'
        "find . -type f -printf '%s  %P\\n'\n"
        "echo\n"
        "find . -type f -printf '%P\\0' | xargs -0 -r sha256sum --",
        timeout=_HASH_SECONDS,
    )
    first, _, second = listing.partition("\n\n")
    sizes = {path: int(size) for size, path in _entries(first)}
    hashes = {path: digest for digest, path in _entries(second)}
    missing = {path for path, digest in hashes.items() if not _is(target / path, digest)}
    small = {path: hashes[path] for path in missing if sizes.get(path, BIG) < BIG}
    if small:
        _stream(shell, folder, target, small, Progress(sum(sizes[path] for path in small), tell))
    for path in sorted(missing - small.keys()):
        hashes[path] = fetch(shell, f"{folder}/{path}", target / path, tell)
    return hashes


def _stream(shell: Shell, folder: str, target: Path, hashes: dict[str, str], progress: Progress) -> None:
    names = shlex.join(f"./{path}" for path in sorted(hashes))
    with TemporaryFile() as archive:

        def take(block: bytes) -> None:
            archive.write(block)
            progress.add(len(block))

        draw(
            shell,
            f"fetching {folder}",
            f'cd "{WORKSPACE}"/{shlex.quote(folder)} && exec tar -cf - -- {names}',
            take,
        )
        archive.seek(0)
        try:
            with tarfile.open(fileobj=archive) as opened:
                for path, digest in hashes.items():
                    content = opened.extractfile(f"./{path}")
                    if content:
                        _put(content, target / path, digest)
        except (tarfile.TarError, KeyError) as error:
            raise TransferFailed(f"{folder} did not arrive whole ({error}); run it again") from None


def _put(content: IO[bytes], target: Path, digest: str) -> None:
    """Give a file its name once it is whole on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with part.open("wb") as file:
        while block := content.read(1 << 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if sha256(part) != digest:
        part.unlink()
        raise TransferFailed(f"{target.name} changed while it was fetched; run it again")
    part.replace(target)


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


def _entries(listing: str) -> list[tuple[str, str]]:
    """Split each line at its first two spaces; the names that a trainer gives hold no line breaks."""
    pairs = [line.partition("  ") for line in listing.split("\n") if line]
    return [(first, path) for first, _, path in pairs]
