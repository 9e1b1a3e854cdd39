"""Running a command on this machine."""

import asyncio
import os
import signal
from pathlib import Path

from toolchain.command_plugin.call import Call, StoppedError
from toolchain.command_plugin.transcript import Transcript, previous_output
from toolchain.command_plugin.values import Properties

_SHELL = ["/bin/sh", "-c"]


async def run(command: str, inputs: Properties, previous: dict[str, str], call: Call) -> dict[str, str]:
    """Runs a command as a child of the plugin, in the folder of the program unless `dir` says.

    Args:
        command: the text that the interpreter gets as its last argument.
        inputs: the resource's inputs, without secret marks.
        previous: stdout and stderr of the last run.
        call: the request being served; its custom timeout kills the command.

    Returns:
        The outputs `stdout` and `stderr`.

    Raises:
        CommandError: it cannot be started, fails, is killed, or its output cannot be kept.
    """
    transcript = Transcript(inputs.get("logging"), call)
    environment = {
        **os.environ,
        **inputs.get("environment", {}),
        **previous_output(inputs, previous),
    }
    folder = inputs.get("dir", Path.cwd())
    arguments = [*(inputs.get("interpreter") or _SHELL), command]
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.PIPE if inputs.get("stdin") else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        step = "chdir" if error.filename == str(folder) else "fork/exec"
        cause = f"{step} {error.filename}: {os.strerror(error.errno or 0).lower()}"
        raise transcript.failure(cause, command) from None
    try:
        await call.unless_stopped(_attend(process, transcript, inputs.get("stdin")))
    except StoppedError as stop:
        raise transcript.failure(str(stop), command) from None
    finally:
        if process.returncode is None:
            process.kill()
    if status := process.returncode:
        cause = f"exit status {status}" if status > 0 else f"signal: {_signal_name(-status)}"
        raise transcript.failure(cause, command)
    return transcript.outputs()


async def _attend(process: asyncio.subprocess.Process, transcript: Transcript, stdin: str | None) -> None:
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both streams were asked for as pipes")
    await asyncio.gather(transcript.follow(process.stdout, process.stderr), _feed(process.stdin, stdin))
    await process.wait()


async def _feed(pipe: asyncio.StreamWriter | None, text: str | None) -> None:
    if pipe is None or not text:
        return
    try:
        pipe.write(text.encode())
        await pipe.drain()
    except ConnectionError:
        return  # a command need not read all of its input
    finally:
        pipe.close()


def _signal_name(number: int) -> str:
    return (signal.strsignal(number) or str(number)).lower()
