"""Files as streams to a machine, hashed there while they arrive. Its paths are relative to the workspace."""

from __future__ import annotations

import shlex
import time
from pathlib import PurePosixPath
from tarfile import LNKTYPE, PAX_FORMAT, TarInfo
from typing import IO, TYPE_CHECKING

from components.errors import TransferFailed
from components.remote.job import WORKSPACE
from components.remote.landing import HASH, parse_sums
from components.remote.manifest import part
from components.remote.pipe import BLOCK, pour

if TYPE_CHECKING:
    from pathlib import Path

    from components.remote.manifest import File
    from components.remote.progress import Progress
    from components.remote.shell import Shell


def link(shell: Shell, links: dict[str, str]) -> None:
    """Make each key a hard link to its value; a tar stream of links makes ten thousand at once."""

    def write(out: IO[bytes]) -> None:
        for path, target in links.items():
            info = TarInfo(path)
            info.type, info.linkname = LNKTYPE, target
            out.write(info.tobuf(PAX_FORMAT))
        out.write(_END)

    pour(shell, "linking what is there", f'cd "{WORKSPACE}" && exec tar -xf -', write)


def small(shell: Shell, source: Path, files: list[File], folder: str, progress: Progress) -> dict[str, str]:
    """Send `files` of `source` to `folder` as one tar stream, and return the hashes of what arrived."""

    def write(out: IO[bytes]) -> None:
        now = int(time.time())
        for file in files:
            info = TarInfo(file.path)
            info.size, info.mode, info.mtime = file.size, 0o644, now
            out.write(info.tobuf(PAX_FORMAT))
            _copy(source / file.path, 0, file.size, out, progress)
            out.write(bytes(-file.size % 512))
        out.write(_END)

    # tar names a file when it begins it; sed hands each name on when the next one comes: it is whole then
    script = f"""cd "{WORKSPACE}/"{shlex.quote(folder)} && set -o pipefail
tar -xvf - --no-same-owner --quoting-style=literal | sed -n 's|^|./|;x;1!p;${{x;p}}' |
xargs -d '\\n' -r -n 200 {HASH}"""
    return parse_sums(pour(shell, "unpacking on the machine", script, write))


def big(shell: Shell, source: Path, file: File, path: str, offset: int, progress: Progress) -> str:
    """Send the file `source`, which `file` describes, to `path`, and return the hash of what arrived.

    Args:
        shell: the machine.
        source: where it is here.
        file: its size and hash; anything else that arrives is removed again.
        path: where it goes once it is whole; what arrives before waits beside `path` under the name `part`.
        offset: bytes that wait there already.
        progress: is told.
    """

    def write(out: IO[bytes]) -> None:
        _copy(source, offset, file.size - offset, out, progress)

    where = PurePosixPath(path)
    # It writes where it reads on, not at the end: what a lost connection still writes there is the same.
    script = f"""cd "{WORKSPACE}" && set -eo pipefail
path={shlex.quote(path)} part={shlex.quote(str(where.parent / part(file)))}
mkdir -p -- {shlex.quote(str(where.parent))}
[ {offset} -gt 0 ] || rm -f -- "$part"
exec 3<> "$part"
head -c {offset} <&3 > /dev/null
cat >&3
[ "$(stat -c %s -- "$part")" -ge {file.size} ] || exit 1
sum=$({HASH} < "$part")
sum=${{sum%% *}}
if [ "$sum" = {file.sha256} ]; then mv -T -- "$part" "$path"; else rm -- "$part"; fi
echo $sum"""
    return pour(shell, f"sending {file.path}", script, write).strip()[-64:]


_END = bytes(1024)
"""Of a tar archive."""


def _copy(path: Path, offset: int, size: int, out: IO[bytes], progress: Progress) -> None:
    """Write exactly `size` bytes of a file."""
    try:
        content = path.open("rb", buffering=0)
    except OSError as error:
        raise TransferFailed(f"{path}: {error.strerror}") from None
    with content:
        content.seek(offset)
        while size:
            try:
                block = content.read(min(size, BLOCK))
            except OSError as error:
                raise TransferFailed(f"{path}: {error.strerror}") from None
            if not block:
                raise TransferFailed(f"{path} became shorter while it was sent. Run it again.")
            out.write(block)
            size -= len(block)
            progress.add(len(block))
