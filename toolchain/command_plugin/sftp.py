"""Copying a file, a text or a folder to another machine over SFTP.

Folders go file by file and nothing is removed, permissions are the server's defaults: as with
the official plugin, `rsync` or a tar stream is the better tool for more than a few files.
"""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from toolchain.command_plugin import values
from toolchain.command_plugin.call import Call, CommandError
from toolchain.command_plugin.ssh import dial
from toolchain.command_plugin.values import Properties

if TYPE_CHECKING:
    import asyncssh

_BLOCK_BYTES = 4 * 1024 * 1024


def refused_source(source: object) -> str | None:
    """Why a `source` cannot be copied, or None; an unknown one cannot, even in a preview."""
    if not isinstance(source, dict) or not (
        values.is_signed(source, values.ASSET) or values.is_signed(source, values.ARCHIVE)
    ):
        return (
            "either asset or archive must be set (pulumi-command 1.2.1 says so of a source that "
            "is not known yet, too: build it from known values)"
        )
    if values.is_signed(source, values.ARCHIVE) and not source.get("path"):
        return "archive must be a path to a file or directory"
    if source.get("uri"):
        return "asset must be a path-based file asset or a text asset"
    return None


async def copy_to_remote(inputs: Properties, call: Call) -> None:
    """Copies `source` to `remotePath`.

    A file goes into a folder that exists at `remotePath`, else to that very path. A folder goes
    into the folder `remotePath`, under its own name unless its path ends in a slash.

    Raises:
        CommandError: the machine cannot be reached, the source cannot be read, or the far end
            refuses.
    """
    source, remote_path = inputs["source"], inputs["remotePath"]
    async with _upload(inputs["connection"], remote_path, call) as upload:
        if not source.get("path"):
            await upload.text(source.get("text", ""), remote_path)
        elif Path(source["path"]).is_dir():  # noqa: ASYNC240 - the person's own disk
            await upload.folder(source["path"], remote_path)
        else:
            await upload.file(Path(source["path"]), remote_path)


async def copy_file(inputs: Properties, call: Call) -> None:
    """Copies `localPath` to exactly `remotePath`, whose folder must exist (deprecated resource).

    Raises:
        CommandError: as for copy_to_remote.
    """
    local_path, remote_path = Path(inputs["localPath"]), inputs["remotePath"]
    _open(local_path).close()  # a source that is missing fails before anything is dialled
    async with _upload(inputs["connection"], remote_path, call) as upload:
        with _open(local_path) as content:
            await upload.write(content, remote_path)


@asynccontextmanager
async def _upload(connection: Properties, remote_path: str, call: Call) -> AsyncIterator["_Upload"]:
    async with dial(connection, call) as client:
        import asyncssh  # noqa: PLC0415 - ssh.py says why

        try:
            async with client.start_sftp_client() as sftp:
                yield _Upload(sftp)
        except asyncssh.Error as error:
            raise CommandError(f"failed to copy to remote path {remote_path}: {error.reason}") from None


class _Upload:
    def __init__(self, sftp: "asyncssh.SFTPClient") -> None:
        self._sftp = sftp

    async def text(self, text: str, remote_path: str) -> None:
        if await self._sftp.isdir(remote_path):
            raise CommandError(
                f"remote path {remote_path} is a directory; when using a text asset, remotePath "
                "must be a file path"
            )
        await self._make_parents(remote_path)
        await self.write(io.BytesIO(text.encode()), remote_path)

    async def file(self, local_path: Path, remote_path: str) -> None:
        with _open(local_path) as content:
            if await self._sftp.isdir(remote_path):
                remote_path = str(PurePosixPath(remote_path, local_path.name))
            else:
                await self._make_parents(remote_path)
            await self.write(content, remote_path)

    async def folder(self, local_path: str, remote_path: str) -> None:
        if not await self._sftp.exists(remote_path):
            await self._sftp.makedirs(remote_path)
        target = PurePosixPath(remote_path)
        if not local_path.endswith("/"):
            target /= Path(local_path).name
        await self._make_folder(str(target))
        for path in _tree(local_path):
            destination = str(target / path.relative_to(local_path))
            if _is_folder(path):
                await self._make_folder(destination)
            else:
                with _open(path) as content:
                    await self.write(content, destination)

    async def write(self, content: BinaryIO, remote_path: str) -> None:
        async with self._sftp.open(remote_path, "wb") as file:
            while block := content.read(_BLOCK_BYTES):
                await file.write(block)

    async def _make_parents(self, remote_path: str) -> None:
        await self._sftp.makedirs(str(PurePosixPath(remote_path).parent), exist_ok=True)

    async def _make_folder(self, remote_path: str) -> None:
        if await self._sftp.isdir(remote_path):
            return
        if await self._sftp.exists(remote_path):
            raise CommandError(f"remote path {remote_path} exists but is not a directory")
        await self._sftp.mkdir(remote_path)


def _tree(folder: str) -> list[Path]:
    return sorted(Path(folder).rglob("*"))


def _is_folder(path: Path) -> bool:
    # A link to a folder is no folder: it is opened like a file, which fails, as officially.
    return path.is_dir() and not path.is_symlink()


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise CommandError(f"open {path}: {(error.strerror or str(error)).lower()}") from None
