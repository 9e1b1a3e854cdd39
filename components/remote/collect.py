"""A folder on a machine brought home: its small files in one stream, its big ones each by itself."""

from __future__ import annotations

import os
import shlex
import tarfile
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

from components.errors import TransferFailed
from components.remote.job import WORKSPACE
from components.remote.landing import HASH
from components.remote.manifest import sha256
from components.remote.pipe import draw
from components.remote.progress import Progress
from components.remote.transfer import BIG, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

    from components.remote.progress import Tell
    from components.remote.shell import Shell

_HASH_SECONDS: Final = 3600
_NAMES_AT_ONCE: Final = 20_000
"""Letters; Linux allows 128 KiB in one argument, and a name in a command may grow fivefold by its quotes."""


def collect(shell: Shell, folder: str, target: Path, tell: Tell) -> dict[str, str]:
    """Bring every file of `folder` (relative to the workspace) home into `target`; return SHA-256 by path.

    What is at home with the right hash is left alone. A folder that is not there has no files.

    Raises:
        TransferFailed: one did not arrive whole, has a name that cannot be taken over, cannot be written
            here, or the connection broke off. No half file has a file's name.
    """
    sizes, hashes = _listed(shell, folder)
    try:
        missing = {path for path, digest in hashes.items() if not _is(target / path, digest)}
        small = {path: hashes[path] for path in sorted(missing) if sizes[path] < BIG}
        progress = Progress(sum(sizes[path] for path in small), tell)
        for some in _batches(small):
            _stream(shell, folder, target, some, progress)
    except OSError as error:
        raise TransferFailed(f"{error.filename or target}: {error.strerror}") from None
    for path in sorted(missing - small.keys()):
        hashes[path] = fetch(shell, f"{folder}/{path}", target / path, tell)
    return hashes


def _listed(shell: Shell, folder: str) -> tuple[dict[str, int], dict[str, str]]:
    """Return size and SHA-256 of each file by its path; names may hold whatever Linux allows."""
    listing = shell.run(
        f"looking into {folder}",
        f"""cd "{WORKSPACE}"/{shlex.quote(folder)} 2>/dev/null || exit 0
mapfile -d '' -t files < <(find . -type f -printf '%s %P\\0')
[ ${{#files[@]}} != 0 ] || exit 0
printf '%s\\0' "${{files[@]}}"
printf './%s\\0' "${{files[@]#* }}" | xargs -0 {HASH} |
sed -nE 's|^\\\\?([0-9a-f]{{64}}) [ *]\\./.*|\\1|p'""",
        timeout=_HASH_SECONDS,
    )
    *files, digests = listing.split("\0")
    sizes = {path: int(size) for size, _, path in (file.partition(" ") for file in files)}
    for path in sizes:
        parts = PurePosixPath(path).parts
        if not parts or parts[0] == "/" or ".." in parts or "\ufffd" in path:
            raise TransferFailed(f"{folder} holds a file named {path!r}, which cannot be brought home")
    if len(sizes) != len(found := digests.split()):
        raise TransferFailed(f"{folder} changed while it was looked at; run it again")
    return sizes, dict(zip(sizes, found, strict=True))


def _batches(hashes: dict[str, str]) -> Iterator[dict[str, str]]:
    """Divide what is to come, so that its names fit into a command."""
    some: dict[str, str] = {}
    for path, digest in hashes.items():
        if some and sum(map(len, some)) + len(path) > _NAMES_AT_ONCE:
            yield some
            some = {}
        some[path] = digest
    if some:
        yield some


def _stream(shell: Shell, folder: str, target: Path, hashes: dict[str, str], progress: Progress) -> None:
    names = shlex.join(f"./{path}" for path in hashes)
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=target) as archive:

        def take(block: bytes) -> None:
            archive.write(block)
            progress.add(len(block))

        draw(
            shell,
            f"fetching {folder}",
            f'cd "{WORKSPACE}"/{shlex.quote(folder)} && exec tar -cf - --no-unquote -- {names}',
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
    try:
        with part.open("wb") as file:
            while block := content.read(1 << 20):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        if sha256(part) != digest:
            raise TransferFailed(f"{target.name} changed while it was fetched; run it again")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest
