"""Unpacks a zip or tar archive that nobody vouches for. A program of its own, sent to the node and run there.

    python3 - ARCHIVE FOLDER < extract.py

FOLDER must not exist; it is made, and holds all of the archive or does not exist afterwards. Only regular
files and folders are unpacked, all of them inside FOLDER, with modes of our own. Anything else in the archive
(absolute names, `..`, links, devices, a name twice, more than the disk holds) refuses the whole of it; hidden
files are left out. It knows nothing of fragua and needs only Python 3.8.
"""

from __future__ import annotations

import re
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from functools import partial
from gzip import BadGzipFile
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RESERVE = 1 << 30
"""Bytes of disk to leave free."""
_BLOCK = 1 << 20
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    BadGzipFile,
    zlib.error,
    LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
)
"""What the libraries raise on archives that are broken, or packed in a way that they do not know."""
_UNWELCOME = re.compile("[\x00-\x1f\x7f\\\\\ud800-\udfff]|^.:|^/")
"""Control characters, backslashes and stray bytes; a drive or the root in front."""


class Refused(Exception):
    """The archive is damaged or hostile; the message says why."""


class Member(NamedTuple):
    """One entry of an archive. `kind` is file, folder, or what else it is in words."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes]]


def extract(archive: Path, folder: Path) -> int:
    """Unpack `archive` into the new `folder`; return the number of files.

    Raises:
        Refused: nothing was left behind.
    """
    folder.mkdir(parents=True)
    try:
        with members(archive) as entries:
            return _write(entries, folder)
    except _DAMAGE as error:
        shutil.rmtree(folder)
        raise Refused(f"the archive is damaged: {error}") from None
    except OSError as error:
        shutil.rmtree(folder)
        raise Refused(f"unpacking failed: {error}") from None
    except Refused:
        shutil.rmtree(folder)
        raise


@contextmanager
def members(archive: Path) -> Iterator[Iterator[Member]]:
    """Open `archive` and yield its members in order."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(opened)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as opened_tar:
            yield _tar_members(opened_tar)
    else:
        with archive.open("rb") as file:
            head = file.read(64)
        html = head.lstrip().lower().startswith((b"<!doctype", b"<html"))
        what = (
            "a web page: is the URL that of the file itself?"
            if html
            else f"neither zip nor tar: {head[:16]!r}"
        )
        raise Refused(f"what was downloaded is {what}")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if info.flag_bits & 1:
            kind = "encrypted"
        elif info.orig_filename.endswith("/"):
            kind = "folder"
        elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
            kind = "file"
        else:
            kind = "a link" if stat.S_ISLNK(mode) else "a special file"
        yield Member(info.orig_filename, kind, info.file_size, partial(archive.open, info))


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if info.isdir():
            kind = "folder"
        elif info.isreg():
            kind = "file"
        else:
            kind = "a link" if info.issym() or info.islnk() else "a special file"
        # extractfile returns nothing for what is no file, and nothing is opened that is none
        yield Member(info.name, kind, info.size, partial(archive.extractfile, info))  # type: ignore[arg-type]
    # tarfile takes a file that was cut off between two members for whole, and does not read the last checksum
    if archive.fileobj is not None:
        archive.fileobj.seek(archive.offset)
        end = archive.fileobj.read(tarfile.BLOCKSIZE)
        if any(end) or not end:
            raise Refused("the archive is damaged: it is cut off")
        while archive.fileobj.read(_BLOCK):
            pass


def _write(entries: Iterator[Member], folder: Path) -> int:
    room = shutil.disk_usage(folder).free - _RESERVE
    count = 0
    for member in entries:
        path = _safe(member)
        if path.parts[:1] == ("__MACOSX",) or any(part.startswith(".") for part in path.parts):
            continue
        target = folder / path
        room -= member.size
        if room < 0:
            raise Refused(f"the disk is too small: {member.name!r} and what comes before it do not fit")
        try:
            if member.kind == "folder":
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(member, target)
                count += 1
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise Refused(f"{member.name!r} is in the archive twice, or once as a folder") from None
    return count


def _safe(member: Member) -> PurePosixPath:
    """Return the relative path of a member that may be unpacked."""
    path = PurePosixPath(member.name)
    if member.kind not in ("file", "folder"):
        raise Refused(f"{member.name!r} in the archive is {member.kind}; pack plain files only")
    if _UNWELCOME.search(member.name) or ".." in path.parts or (member.kind == "file" and not path.parts):
        raise Refused(f"{member.name!r} in the archive leads out of its folder, or is no plain name")
    return path


def _copy(member: Member, target: Path) -> None:
    """Write one file that does not exist yet, and no more of it than was announced."""
    left = member.size
    with member.open() as source, target.open("xb") as file:
        for block in iter(lambda: source.read(_BLOCK), b""):
            left -= len(block)
            if left < 0:
                raise Refused(f"{member.name!r} in the archive is larger than it says")
            file.write(block)
    if left:
        raise Refused(f"the archive is damaged: {member.name!r} is cut off")


def main() -> None:
    """Unpack the first argument into the second."""
    archive, folder = map(Path, sys.argv[1:])
    try:
        count = extract(archive, folder)
    except Refused as error:
        sys.exit(str(error))
    print(f"unpacked {count} files")  # noqa: T201 - a program's output


if __name__ == "__main__":
    main()
