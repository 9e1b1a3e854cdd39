"""Dialling a machine: keys, the host key that is expected, retries, one proxy on the way.

asyncssh takes 0.4 s to import and a preview dials nothing, so it is imported where it is used.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from toolchain.command_plugin.call import Call, CommandError
from toolchain.command_plugin.values import Properties

if TYPE_CHECKING:
    import asyncssh

T = TypeVar("T")

_UNLIMITED = -1
_FIRST_DELAY_S = 0.1
_DELAY_GROWTH = 1.5
_MAX_DELAY_S = 5.0


@asynccontextmanager
async def dial(connection: Properties, call: Call) -> AsyncIterator["asyncssh.SSHClientConnection"]:
    """Connects to the machine that a `connection` input describes.

    Args:
        connection: the input with its defaults, without secret marks.
        call: the request being served; no further attempt is made once it is over.

    Raises:
        CommandError: a key cannot be read (at once), or `dialErrorLimit` retries have failed. The
            text never holds a key or a password.
    """
    async with AsyncExitStack() as stack:
        options = await _options(connection, "connection", stack)
        proxy = connection.get("proxy")
        if proxy is None:
            yield await _dial(connection, options, "Dial", stack, call)
            return
        proxy_options = await _options(proxy, "connection.proxy", stack)
        try:
            tunnel = await _dial(proxy, proxy_options, "Dial proxy", stack, call)
            options["tunnel"] = tunnel
            client = await _dial(connection, options, "Dial from proxy", stack, call)
        except CommandError as error:
            raise CommandError(f"proxy: {error}") from None
        yield client


async def _options(endpoint: Properties, where: str, stack: AsyncExitStack) -> dict[str, Any]:
    import asyncssh  # noqa: PLC0415 - see the module's docstring

    options: dict[str, Any] = {
        "username": endpoint["user"],
        "password": endpoint.get("password"),
        "known_hosts": None,
        "connect_timeout": endpoint["perDialTimeout"] or None,
        # Only what the input says counts: not the person's own ssh configuration and keys.
        "config": None,
        "agent_path": None,
    }
    if host_key := endpoint.get("hostKey"):
        try:
            expected = asyncssh.import_public_key(host_key)
        except asyncssh.KeyImportError as error:
            raise CommandError(f"failed to parse host key: {where}.hostKey: {error}") from None
        options["known_hosts"] = ([expected], [], [])
        options["server_host_key_algs"] = [expected.get_algorithm()]

    keys: list[Any] = []
    if private_key := endpoint.get("privateKey"):
        keys.append(_private_key(private_key, endpoint.get("privateKeyPassword"), where))
    if agent_path := endpoint.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK"):
        try:
            agent = await stack.enter_async_context(asyncssh.connect_agent(agent_path))
            keys.extend(await agent.get_keys())
        except (OSError, ValueError) as error:
            raise CommandError(
                f"dial unix {agent_path}: {error}; start the ssh-agent, unset SSH_AUTH_SOCK, or "
                f"set {where}.agentSocketPath"
            ) from None
    options["client_keys"] = keys or None
    return options


def _private_key(content: str, passphrase: str | None, where: str) -> Any:
    import asyncssh  # noqa: PLC0415 - see the module's docstring

    try:
        return asyncssh.import_private_key(content, passphrase)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise CommandError(
            f"{where}.privateKey cannot be read: {error}. It must be the contents of a private key (not a "
            f"path), and {where}.privateKeyPassword its passphrase if it has one"
        ) from None


async def _dial(
    endpoint: Properties,
    options: dict[str, Any],
    action: str,
    stack: AsyncExitStack,
    call: Call,
) -> "asyncssh.SSHClientConnection":
    import asyncssh  # noqa: PLC0415 - see the module's docstring

    host, port = endpoint["host"], int(endpoint["port"])

    async def attempt() -> "asyncssh.SSHClientConnection":
        try:
            return await asyncssh.connect(host, port, **options)
        except asyncssh.HostKeyNotVerifiable:
            raise CommandError(
                f"ssh: handshake failed: ssh: host key mismatch ({host}:{port} does not hold the "
                "key that hostKey expects)"
            ) from None
        except asyncssh.PermissionDenied as error:
            raise CommandError(
                f"ssh: handshake failed: ssh: unable to authenticate as {endpoint['user']}: {error.reason}"
            ) from None
        except asyncssh.Error as error:
            raise CommandError(f"ssh: handshake failed: {error.reason}") from None
        except TimeoutError:
            raise CommandError(f"dial tcp {host}:{port}: i/o timeout") from None
        except OSError as error:
            known = error.errno is not None and error.errno > 0
            reason = os.strerror(error.errno or 0).lower() if known else str(error)
            raise CommandError(f"dial tcp {host}:{port}: connect: {reason}") from None

    limit = int(endpoint["dialErrorLimit"])
    client = await call.unless_stopped(_retry(action, limit, attempt, call))
    return await stack.enter_async_context(client)


async def _retry(action: str, limit: int, attempt: Callable[[], Awaitable[T]], call: Call) -> T:
    delay = _FIRST_DELAY_S
    failures = 0
    while True:
        try:
            return await attempt()
        except CommandError as error:
            failures += 1
            if _UNLIMITED < limit < failures:
                raise CommandError(f"after {limit} failed attempts: {error}") from None
        shown = "inf" if limit == _UNLIMITED else limit
        await call.log(f"{action} {failures}/{shown} failed: retrying", passing=True)
        await asyncio.sleep(delay)
        delay = min(delay * _DELAY_GROWTH, _MAX_DELAY_S)
