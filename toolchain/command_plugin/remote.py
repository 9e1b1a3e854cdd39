"""Running a command on another machine, over SSH."""

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from toolchain.command_plugin.call import ERROR, WARNING, Call, CommandError
from toolchain.command_plugin.ssh import dial
from toolchain.command_plugin.transcript import Transcript, previous_output
from toolchain.command_plugin.values import Properties

if TYPE_CHECKING:
    import asyncssh

_WINDOW_BYTES = 2 * 1024 * 1024
_PACKET_BYTES = 32 * 1024
_KILLED_BY_SIGNAL = 128


async def run(command: str, inputs: Properties, previous: dict[str, str], call: Call) -> dict[str, str]:
    """Runs a command in a session of its own on `connection`.

    Once it runs nothing stops it, no more than with the official plugin: neither a custom
    timeout nor a cancelled deployment. A command that may hang needs `timeout` in front of it.

    Args:
        command: the text that the machine's login shell gets.
        inputs: the resource's inputs, without secret marks.
        previous: stdout and stderr of the last run.
        call: the request being served.

    Returns:
        The outputs `stdout` and `stderr`.

    Raises:
        CommandError: the machine cannot be reached, it refuses a variable of `environment`, the
            command fails, or its output cannot be kept.
    """
    transcript = Transcript(inputs.get("logging"), call)
    async with dial(inputs["connection"], call) as client:
        process = await _start(
            client,
            command,
            required=inputs.get("environment", {}),
            optional=previous_output(inputs, previous),
            call=call,
        )
        await _attend(process, transcript, inputs.get("stdin", ""))
    if process.exit_status != 0:
        raise transcript.failure(_exit_cause(process), command)
    return transcript.outputs()


async def _start(
    client: "asyncssh.SSHClientConnection",
    command: str,
    *,
    required: dict[str, str],
    optional: dict[str, str],
    call: Call,
) -> "asyncssh.SSHClientProcess[bytes]":
    """Starts a process whose variables the server has agreed to.

    asyncssh sends variables without asking for an answer, which hides a refusal, so they are sent
    here, between the opening of the session and the command.
    """
    import asyncssh  # noqa: PLC0415 - ssh.py says why
    from asyncssh.packet import String  # noqa: PLC0415 - same

    class Session(asyncssh.SSHClientChannel[bytes]):
        async def _open(self, chantype: bytes, *args: bytes) -> Any:
            confirmation = await super()._open(chantype, *args)
            for name, value in {**required, **optional}.items():
                if await self._make_request(b"env", String(name), String(value)):
                    continue
                severity = ERROR if name in required else WARNING
                await call.log(_refusal(name), severity=severity)
                if name in required:
                    raise CommandError(f'could not set environment variable "{name}": ssh: setenv failed')
            return confirmation

    session = Session(
        client, asyncio.get_running_loop(), "strict", None, "strict", _WINDOW_BYTES, _PACKET_BYTES
    )
    process = asyncssh.SSHClientProcess[bytes]()
    try:
        await session.create(
            lambda: process,
            command,
            subsystem=None,
            env={},
            request_pty=False,
            term_type=None,
            term_size=None,
            term_modes={},
            x11_forwarding=False,
            x11_display=None,
            x11_auth_path=None,
            x11_single_connection=False,
            agent_forwarding=False,
        )
    except asyncssh.Error as error:
        raise CommandError(f"ssh: the server started no session: {error.reason}") from None
    return process


async def _attend(process: "asyncssh.SSHClientProcess[bytes]", transcript: Transcript, stdin: str) -> None:
    import asyncssh  # noqa: PLC0415 - ssh.py says why

    with suppress(BrokenPipeError):  # a command need not read its input
        process.stdin.write(stdin.encode())
        process.stdin.write_eof()
    with suppress(asyncssh.DisconnectError, OSError):  # leaves it without an exit status
        await transcript.follow(process.stdout, process.stderr)
        await process.wait_closed()


def _refusal(name: str) -> str:
    return (
        f"Unable to set '{name}'. The SSH server has to allow the variable (AcceptEnv in its "
        "configuration). Where a shell runs the command, put the variable in front of it instead: "
        "'VAR=value command'"
    )


def _exit_cause(process: "asyncssh.SSHClientProcess[bytes]") -> str:
    if ended_by := process.exit_signal:
        name = ended_by[0]
        status = _KILLED_BY_SIGNAL + getattr(signal, f"SIG{name}", 0)
        return f"Process exited with status {status} from signal {name}"
    if process.exit_status is None:
        return "wait: remote command exited without exit status or exit signal"
    return f"Process exited with status {process.exit_status}"
