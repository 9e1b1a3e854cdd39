"""The official release archive: fetched over HTTP, checked against its pinned sha256, unpacked.

The pin decides, not the server: an archive that differs by one byte is refused, whatever host or
proxy it came from. That proves that the file is the one whose digest Pulumi published for this
version; it doesn't prove that what Pulumi released is free of faults.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from toolchain.console import Progress

if TYPE_CHECKING:
    from collections.abc import Collection

_TIMEOUT_S = 3.0
"""For a connection and for a silence: without internet the next way is tried soon."""

_CHUNK = 1 << 18


class ReleaseError(Exception):
    """The archive can't be had, or isn't the one that was pinned."""


def download(url: str, sha256: str, folder: Path) -> Path:
    """Fetch `url` into `folder`, going on where an earlier try was cut off.

    Args:
        url: Where the archive is.
        sha256: What the whole file must hash to.
        folder: Kept between tries; the unfinished file in it has the digest in its name.

    Raises:
        ReleaseError: The server can't be reached or refuses, or the file isn't the pinned one.
            An unfinished file stays for the next try, a wrong one is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{sha256}.partial"
    progress = Progress()
    try:
        while not _fetch_rest(url, archive, progress):
            pass
    finally:
        progress.close()
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        archive.unlink()
        raise ReleaseError(
            f"{url} is not the pinned archive and was removed: its sha256 is {found}, "
            f"toolchain/versions.toml says {sha256}"
        )
    return archive


def _fetch_rest(url: str, archive: Path, progress: Progress) -> bool:
    """Append what is missing; whether the file is whole now.

    A connection that breaks after it brought something is worth another try. One that brought
    nothing isn't: that raises.
    """
    start = archive.stat().st_size if archive.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    size = start
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            if start and response.status != http.client.PARTIAL_CONTENT:
                start = size = 0  # the server sends the whole file again
            total = start + int(response.headers.get("Content-Length", 0))
            with archive.open("ab" if start else "wb") as file:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    size += len(chunk)
                    progress.show(f"{archive_name(url)}: {size >> 20} of {total >> 20} MiB")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True  # nothing is missing; the digest says whether it is right
        raise ReleaseError(f"{url} answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        if size > start:
            return False
        reason = getattr(error, "reason", error)
        raise ReleaseError(f"{url} can't be reached: {reason}") from error
    if size < total and size == start:
        raise ReleaseError(f"{url} breaks off after {size} of {total} bytes")
    return size >= total


def archive_name(url: str) -> str:
    """The last part of the URL's path."""
    return PurePosixPath(url).name


def unpack(archive: Path, names: Collection[str], folder: Path) -> None:
    """Put the executables `names` of the archive straight into `folder`.

    Only regular files `pulumi/NAME` are taken and only their bytes: no path, link, owner or mode
    of the archive has a say in what is written where.

    Raises:
        ReleaseError: It is no archive, or one of the names isn't in it.
    """
    missing = set(names)
    try:
        with tarfile.open(archive) as members:
            for member in members:
                *folders, name = PurePosixPath(member.name).parts or ("",)
                if folders != ["pulumi"] or name not in missing:
                    continue
                content = members.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                target = folder / name
                with content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                target.chmod(0o755)
                missing.discard(name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ReleaseError(f"{archive} can't be unpacked: {error}") from error
    if missing:
        raise ReleaseError(f"the release archive lacks {', '.join(sorted(missing))}")
