"""The system's OpenSSH, for what paramiko is too slow for: the stack's key, and the pinned host key only."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING, Any, Final

from components.errors import AccessDenied, CommandFailed, HostKeyChanged, TransferFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.remote.shell import Login, Shell

MACHINE: Final = "machine"
"""The only name that `arguments` know: it stands for the login's host, port and user."""

AGAIN: Final = "Run it again: it goes on where it ended."

_LOST: Final = (12, 30, 255)
"""Exit codes of rsync and ssh for a connection that broke off."""


def installed() -> bool:
    """Tell whether this computer has `ssh`."""
    return shutil.which("ssh") is not None


def arguments(login: Login, folder: Path) -> list[str]:
    """Return an `ssh` command that wants `MACHINE` as destination; `folder` holds its key from now on."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, known = folder / "id_ed25519", folder / "known_hosts"
    key.touch(mode=0o600)
    key.write_text(login.private_key, encoding="utf-8")
    known.write_text(f"{MACHINE} {login.host_key}\n", encoding="utf-8")
    options = {
        "HostName": login.host,
        "HostKeyAlias": MACHINE,
        "Port": str(login.port),
        "User": "root",
        "IdentityFile": _quoted(key),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": _quoted(known),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlgorithms": "ssh-ed25519",
        "Ciphers": "^aes128-gcm@openssh.com",
        "BatchMode": "yes",
        "ConnectTimeout": "15",
        "ServerAliveInterval": "15",
        "LogLevel": "ERROR",
    }
    return ["ssh", "-F", "/dev/null", *(f"-o{name}={value}" for name, value in options.items())]


@contextmanager
def private(shell: Shell) -> Iterator[list[str]]:
    """Yield `arguments` for the machine of `shell`; the key is gone at the end of the block."""
    login = replace(shell.login, host_key=shell.login.host_key or shell.host_key)
    with TemporaryDirectory(prefix="fragua-") as folder:
        yield arguments(login, Path(folder))


@contextmanager
def running(what: str, command: list[str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run an `ssh` or `rsync` during the block, to its end; when the block raises, it is killed.

    Raises:
        RemoteError: as `check`.
    """
    with TemporaryFile() as errors:
        with subprocess.Popen(command, stderr=errors, **streams) as child:
            try:
                with suppress(BrokenPipeError):  # the exit code tells why it reads no more
                    yield child
                    if child.stdin:
                        child.stdin.close()
            except BaseException:
                child.kill()
                raise
        errors.seek(0)
        check(what, child.returncode, errors.read().decode(errors="replace"))


def check(what: str, code: int, words: str) -> None:
    """Raise what the exit `code` and the last `words` of an `ssh` or `rsync` mean; 0 means nothing.

    Raises:
        HostKeyChanged: the machine showed another host key.
        AccessDenied: it refused the stack's key.
        TransferFailed: the connection broke off, or the machine's disk is full.
        CommandFailed: the command itself failed.
    """
    if not code:
        return
    if "Host key verification failed" in words:
        raise HostKeyChanged(
            f"{what}: the machine shows another host key than the pinned one. Nothing was sent."
        )
    if "Permission denied (publickey" in words:
        raise AccessDenied(f"{what}: the machine refuses the stack's SSH key")
    if "No space left on device" in words:
        raise TransferFailed(
            f"{what}: the machine's disk is full; raise node.disk, or remove something there. {AGAIN}"
        )
    if code < 0 or code in _LOST:
        raise TransferFailed(f"{what}: the connection broke off: {words.strip()[-300:]}. {AGAIN}")
    raise CommandFailed(what, code, words)


def _quoted(path: Path) -> str:
    """Keep ssh from splitting a path at its spaces and from expanding its percent signs."""
    return '"' + str(path.absolute()).replace("%", "%%") + '"'
