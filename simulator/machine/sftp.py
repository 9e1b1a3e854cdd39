"""File transfer into a container: SFTP, and scp on top of it.

The simulator serves the files itself, so paths are resolved here as the container would: from its
root directory, links included.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

import asyncssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from io import FileIO

    from asyncssh.misc import MaybeAwait

MAX_LINKS = 40  # the kernel's own limit


class ContainerFiles(asyncssh.SFTPServer):
    """An SFTP server that sees what the container's root user sees."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], root: Path, home: Path) -> None:
        """Serve the tree under `root`; relative paths start at `home` inside it."""
        super().__init__(channel)
        self._root = "" if root == Path("/") else str(root)
        self._home = home

    def map_path(self, path: bytes) -> bytes:
        """Return the host path of a container path; a link at its end is not followed."""
        asked = PurePosixPath(self._home, os.fsdecode(path))
        if asked.name in ("", ".."):
            return os.fsencode(f"{self._root}{self._resolve(asked)}")
        return os.fsencode(f"{self._root}{self._resolve(asked.parent) / asked.name}")

    def reverse_map_path(self, path: bytes) -> bytes:
        """Return the container path of a host path (or the text of a link, as it is)."""
        return path.removeprefix(os.fsencode(self._root)) or b"/"

    def realpath(self, path: bytes) -> bytes:
        """Return the absolute container path without links."""
        return bytes(self._resolve(PurePosixPath(self._home, os.fsdecode(path))))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """Open a file; see the base class."""
        return super().open(self.realpath(path), pflags, attrs)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write all of `data`; the base class takes a short write, as on a full disk, for a whole one."""
        written = 0
        while written < len(data):
            written += os.pwrite(cast("FileIO", file_obj).fileno(), data[written:], offset + written)
        return written

    def stat(self, path: bytes) -> os.stat_result:
        """Return the attributes of what a path leads to."""
        return Path(os.fsdecode(self.map_path(self.realpath(path)))).stat()

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> MaybeAwait[None]:
        """Set the attributes of what a path leads to; see the base class."""
        return super().setstat(self.realpath(path), attrs)

    def statvfs(self, path: bytes) -> os.statvfs_result:
        """Return the attributes of the file system that a path leads to."""
        return os.statvfs(self.map_path(self.realpath(path)))

    def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """List a directory; see the base class."""
        return super().scandir(self.realpath(path))

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """Make a link whose text is what the client said, as OpenSSH does."""
        Path(os.fsdecode(self.map_path(newpath))).symlink_to(os.fsdecode(oldpath))

    def exit(self) -> None:
        """End the session as OpenSSH's server does: its scp client wants an exit status."""
        self.channel.exit(0)

    def _resolve(self, path: PurePosixPath) -> PurePosixPath:
        resolved = PurePosixPath("/")
        names = deque(path.parts)
        links = 0
        while names:
            name = names.popleft()
            if name == "/":
                resolved = PurePosixPath("/")
                continue
            if name == "..":
                resolved = resolved.parent
                continue
            try:
                target = Path(f"{self._root}{resolved / name}").readlink()
            except OSError:  # not a link, or not there: the operation itself will say so
                resolved /= name
                continue
            links += 1
            if links > MAX_LINKS:
                raise asyncssh.SFTPFailure("Too many levels of symbolic links")
            names.extendleft(reversed(target.parts))
        return resolved
