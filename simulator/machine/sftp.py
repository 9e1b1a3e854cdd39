"""File transfer into a container: SFTP, and scp on top of it.

The simulator serves the files itself, so paths are resolved here as the container would: from its
root directory, links included.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MAX_LINKS = 40  # the kernel's own limit


class ContainerFiles(asyncssh.SFTPServer):
    """An SFTP server that sees what the container's root user sees."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], root: Path, home: Path) -> None:
        """Serve the tree under `root`; relative paths start at `home` inside it."""
        super().__init__(channel)
        self._root = b"" if root == Path("/") else bytes(root)
        self._home = bytes(home)

    def map_path(self, path: bytes) -> bytes:
        """Return the host path of a container path; a link at its end is not followed."""
        parent, name = os.path.split(os.path.join(self._home, path))
        return self._root + os.path.join(self._resolve(parent), name)

    def reverse_map_path(self, path: bytes) -> bytes:
        """Return the container path of a host path (or the text of a link, as it is)."""
        return path.removeprefix(self._root) or b"/"

    def realpath(self, path: bytes) -> bytes:
        """Return the absolute container path without links."""
        return self._resolve(os.path.join(self._home, path))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """Open a file; see the base class."""
        return super().open(self.realpath(path), pflags, attrs)

    def stat(self, path: bytes) -> object:
        """Return the attributes of what a path leads to; see the base class."""
        return super().stat(self.realpath(path))

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> object:
        """Set the attributes of what a path leads to; see the base class."""
        return super().setstat(self.realpath(path), attrs)

    def statvfs(self, path: bytes) -> object:
        """Return the attributes of a file system; see the base class."""
        return super().statvfs(self.realpath(path))

    def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """List a directory; see the base class."""
        return super().scandir(self.realpath(path))

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """Make a link whose text is what the client said, as OpenSSH does."""
        os.symlink(oldpath, self.map_path(newpath))

    def _resolve(self, path: bytes) -> bytes:
        resolved = b"/"
        names = deque(path.split(b"/"))
        links = 0
        while names:
            name = names.popleft()
            if name in (b"", b"."):
                continue
            if name == b"..":
                resolved = os.path.dirname(resolved)
                continue
            here = os.path.join(resolved, name)
            try:
                target = os.readlink(self._root + here)
            except OSError:  # not a link, or not there: the operation itself will say so
                resolved = here
                continue
            links += 1
            if links > MAX_LINKS:
                raise asyncssh.SFTPFailure("Too many levels of symbolic links")
            if target.startswith(b"/"):
                resolved = b"/"
            names.extendleft(reversed(target.split(b"/")))
        return resolved
