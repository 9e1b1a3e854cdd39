"""What a command wrote: each stream whole, both as they came, and the lines shown meanwhile."""

import asyncio
import json
from typing import Literal, Protocol

from toolchain.command_plugin.call import Call, CommandError

Stream = Literal["stdout", "stderr"]

_CHUNK_BYTES = 32 * 1024
_MAX_LINE_BYTES = 64 * 1024
_LOGGED_STREAMS: dict[str | None, tuple[Stream, ...]] = {
    None: ("stdout", "stderr"),
    "stdoutAndStderr": ("stdout", "stderr"),
    "stdout": ("stdout",),
    "stderr": ("stderr",),
}


class Reader(Protocol):
    """A stream of bytes, of a local process or of one at the far end of an SSH session."""

    async def read(self, n: int = ...) -> bytes:
        """Up to n bytes, none at the end."""


class Transcript:
    """Collects a command's output and shows its lines while it runs.

    Args:
        logging: the resource's `logging` input; a value that is none of the four shows nothing.
        call: where lines are shown.
    """

    def __init__(self, logging: str | None, call: Call) -> None:
        self._call = call
        self._logged = _LOGGED_STREAMS.get(logging, ())
        self._streams: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._both = bytearray()
        self._line = bytearray()

    async def follow(self, stdout: Reader, stderr: Reader) -> None:
        """Reads both streams to their ends.

        Raises:
            CommandError: a stream that is logged ran on for more than 64 KiB without a newline.
        """
        pumps = [
            asyncio.ensure_future(self._pump("stdout", stdout)),
            asyncio.ensure_future(self._pump("stderr", stderr)),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
        if self._line:
            await self._show(bytes(self._line))

    async def _pump(self, stream: Stream, reader: Reader) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            self._streams[stream] += chunk
            self._both += chunk
            if stream not in self._logged:
                continue
            *lines, rest = (bytes(self._line) + chunk).split(b"\n")
            self._line = bytearray(rest)
            if max(map(len, (*lines, rest))) > _MAX_LINE_BYTES:
                raise CommandError(
                    f"{stream} ran on for more than 64 KiB without a newline while it was "
                    "logged: the official pulumi-command plugin hangs there for ever. Set "
                    "`logging: none` on this command, or have it end its lines (a progress bar: "
                    "`tr '\\r' '\\n'`)."
                )
            for line in lines:
                await self._show(line)

    async def _show(self, line: bytes) -> None:
        text = line.removesuffix(b"\r").decode(errors="replace")
        await self._call.log(text, passing=True)

    def outputs(self) -> dict[str, str]:
        """Both streams as the resource's outputs, one closing newline cut.

        Raises:
            CommandError: a stream is no UTF-8; the official plugin cannot return it either.
        """
        outputs: dict[str, str] = {}
        for stream, content in self._streams.items():
            try:
                outputs[stream] = content.decode().removesuffix("\n")
            except UnicodeDecodeError as error:
                raise CommandError(
                    f"{stream} is not UTF-8 ({error.reason} at byte {error.start}), so it cannot "
                    "become an output; have the command write bytes to a file, or in base64"
                ) from None
        return outputs

    def failure(self, cause: str, command: str) -> CommandError:
        """The error for a command that failed: cause, the whole command, all it wrote."""
        quoted = json.dumps(command, ensure_ascii=False)
        return CommandError(f"{cause}: running {quoted}:\n{self._both.decode(errors='replace')}")


def previous_output(inputs: dict[str, object], previous: dict[str, str]) -> dict[str, str]:
    """The variables that hand the last run's output to the next, unless that is turned off."""
    if inputs.get("addPreviousOutputInEnv") is False:
        return {}
    return {
        f"PULUMI_COMMAND_{stream.upper()}": text
        for stream in ("stdout", "stderr")
        if (text := previous.get(stream))
    }
