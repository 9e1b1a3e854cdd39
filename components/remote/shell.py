"""Commands on a machine over SSH, by Fabric. A host key is pinned at first contact and demanded ever after.

Scripts and secrets travel by standard input, never in a command line, so neither `ps` on the machine nor an
error here can show them.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from fabric import Config, Connection
from paramiko import (
    AuthenticationException,
    Ed25519Key,
    MissingHostKeyPolicy,
    SSHClient,
    SSHException,
)

from components.errors import AccessDenied, CommandFailed, HostKeyChanged, RemoteError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from paramiko.pkey import PKey

_OTHER_KEY_TYPES: Final = (
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)
"""All but ssh-ed25519: pulumi-command can only pin a key type that every sshd still accepts."""

_CONNECT_SECONDS: Final = 15
_BANNER_SECONDS: Final = 10
"""Less than the former, so that a server that is silent is reported as that."""

_RETRY_SECONDS: Final = 2

PATIENCE: Final = 60.0
"""Seconds to try again to reach a machine that was verified before."""

# what it logs, with a traceback, it also raises
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Login:
    """How to reach a machine.

    Attributes:
        host: name or address.
        port: of its SSH server.
        private_key: the stack's key, in OpenSSH's format.
        host_key: the pinned key, `ssh-ed25519 AAAA...`; empty only for the first contact.
    """

    host: str
    port: int
    private_key: str = field(repr=False)
    host_key: str = ""

    @classmethod
    def of(cls, props: Mapping[str, Any]) -> Login:
        """Decode what a resource was given; Pulumi's numbers are floats."""
        return cls(props["host"], int(props["port"]), props["private_key"], props["host_key"])


class Shell:
    """An open connection."""

    def __init__(self, connection: Connection, login: Login) -> None:
        """Wrap a Fabric connection that was opened to `login`."""
        self.connection, self.login = connection, login

    @property
    def host_key(self) -> str:
        """The key that the machine showed, `ssh-ed25519 AAAA...`."""
        key = self.connection.transport.get_remote_server_key()
        return f"{key.get_name()} {key.get_base64()}"

    def run(self, what: str, script: str, stdin: str = "", timeout: float = 60) -> str:
        """Run a bash `script` and return what it printed.

        Args:
            what: what the script does, in words for an error message.
            script: may end in a command that reads `stdin`.
            stdin: fed to the script after it was read.
            timeout: seconds without a word from the machine.

        Raises:
            CommandFailed: on a non-zero exit code.
            Unreachable: when the connection broke or nothing came back in time.
        """
        # In braces, bash reads the whole script before it runs any of it and leaves the rest of the input.
        code, output, errors = self._execute(what, "bash", f"{{\n{script}\nexit\n}}\n{stdin}", timeout)
        if code:
            raise CommandFailed(what, code, (errors + output).decode("utf-8", errors="replace"))
        return output.decode("utf-8", errors="replace")

    def read(self, what: str, command: str) -> bytes:
        """Return what a short `command` prints, as bytes: a log may end in the middle of a character."""
        return self._execute(what, command, "", _CONNECT_SECONDS)[1]

    def _execute(self, what: str, command: str, stdin: str, timeout: float) -> tuple[int, bytes, bytes]:
        """Run `command` over a channel of the connection: Fabric's own `run` feeds input a byte at a time."""
        try:
            channel = self.connection.transport.open_session(timeout=_CONNECT_SECONDS)
            with channel:
                channel.settimeout(timeout)
                channel.exec_command(command)
                channel.sendall(stdin.encode())
                channel.shutdown_write()
                output, errors = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
                return channel.recv_exit_status(), output, errors
        except TimeoutError:
            raise Unreachable(f"{what}: nothing was heard for {timeout:g} s") from None
        except (SSHException, EOFError, OSError) as error:
            raise Unreachable(f"{what}: the connection broke: {error}") from None


@contextmanager
def connect(login: Login, patience: float = 0) -> Iterator[Shell]:
    """Open a connection to `login`; its host key is demanded if it names one, else learned.

    Args:
        login: the machine.
        patience: seconds to go on trying, where a machine that let us in before does not at the moment:
            hosts blink, and the platform rewrites authorized_keys while it runs.

    Raises:
        HostKeyChanged: the machine shows another key than the pinned one. Nothing was sent to it.
        AccessDenied: sshd refuses the key.
        Unreachable: no SSH answer.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            connection = _opened(login)
            break
        except (AccessDenied, Unreachable):
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_SECONDS)
    try:
        yield Shell(connection, login)
    finally:
        connection.close()


def _opened(login: Login) -> Connection:
    options = {
        "pkey": Ed25519Key.from_private_key(StringIO(login.private_key)),
        "allow_agent": False,
        "look_for_keys": False,
        "banner_timeout": _BANNER_SECONDS,
        "auth_timeout": _CONNECT_SECONDS,
        "disabled_algorithms": {"keys": list(_OTHER_KEY_TYPES)},
    }
    connection = Connection(
        login.host,
        user="root",
        port=login.port,
        config=Config(overrides={"load_ssh_configs": False}),
        connect_timeout=_CONNECT_SECONDS,
        connect_kwargs=options,
    )
    connection.client.set_missing_host_key_policy(_Pinned(login.host_key))
    try:
        connection.open()
    except AuthenticationException as error:
        connection.close()
        raise AccessDenied(f"{login.host}:{login.port} refuses the stack's SSH key: {error}") from None
    except (SSHException, EOFError, OSError) as error:
        connection.close()
        raise Unreachable(f"{login.host}:{login.port} does not answer SSH: {error}") from None
    except RemoteError:
        connection.close()
        raise
    return connection


class _Pinned(MissingHostKeyPolicy):
    """Accepts the pinned key only; any key while nothing is pinned yet."""

    def __init__(self, host_key: str) -> None:
        self._host_key = host_key

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:  # noqa: ARG002 - paramiko's signature
        shown = f"{key.get_name()} {key.get_base64()}"
        if self._host_key and shown != self._host_key:
            raise HostKeyChanged(
                f"{hostname} shows another host key than the one pinned when it was rented. Either someone "
                "stands between, or the machine was rebuilt behind the stack's back. Nothing was sent. "
                "`pulumi refresh` tells what Vast.ai says of it; `pulumi up --replace` rents another."
            )
