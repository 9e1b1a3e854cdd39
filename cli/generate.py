"""Asking a stack's gateway for an image: progress as it comes, the image at the end."""

from __future__ import annotations

import json
import os
import ssl
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from cli.console import Voice, bar
from cli.project import outputs
from components.errors import FraguaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SECONDS: Final = 30
_SILENCE: Final = 60
"""Seconds without a word from a job's events, which send one at least every 15."""
_PATIENCE: Final = 120
"""Seconds for which a gateway may be away once it has accepted a job: it may be starting again."""
_POLL: Final = 1
_AWAY: Final = {502, 503, 504}
"""What is answered in the place of a gateway that is away."""


@dataclass(frozen=True)
class Endpoint:
    """A gateway, or the balancer in front of several.

    Attributes:
        url: where it listens.
        certificate: the only one that is believed, PEM.
        token: of who asks.
    """

    url: str
    certificate: str
    token: str = field(repr=False)

    @classmethod
    def of(cls, found: dict[str, Any]) -> Endpoint:
        """Return the balancer of a stack with those outputs, or its first gateway where it has none.

        Raises:
            FraguaError: none of them is public.
        """
        if "front" in found:
            return cls(found["front"], found["frontCertificate"], found["token"])
        first = found["replicas"][0]
        if not first["url"]:
            raise FraguaError("the gateway is reached through `./fragua tunnel` only: use it at its own URL")
        return cls(first["url"], first["certificate"], found["token"])


def run(root: Path, stack: str, parameters: dict[str, Any], file: Path) -> None:
    """Make the first image that `parameters` ask of the gateway of `stack`, and save it.

    Raises:
        FraguaError: the stack serves nothing, the gateway refuses or fails, or the file cannot be written:
            that is told before anything is asked, wherever it can be.
    """
    check(file)
    voice = Voice()
    endpoint = Endpoint.of(outputs(root, stack, "replicas"))
    image, job = generate(endpoint, parameters, teller(voice))
    voice.still()
    save(image, file, f"{endpoint.url}{job['images'][0]['url']}")
    voice.line(f"{file}: {described(job)}")


def check(file: Path) -> None:
    """See that an image can be saved there.

    Raises:
        FraguaError: it cannot.
    """
    if not file.parent.is_dir():
        raise FraguaError(f"--output {file}: there is no folder {file.parent}: make it first")
    if file.is_dir():
        raise FraguaError(f"--output {file}: is a folder: name a file in it")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise FraguaError(f"--output {file}: must not be written: choose another file")


def save(image: bytes, file: Path, url: str) -> None:
    """Write an image that was paid for.

    Raises:
        FraguaError: that failed; it says at which `url` the image still is.
    """
    try:
        file.write_bytes(image)
    except OSError as error:
        raise FraguaError(
            f"{file}: {error.strerror}; the gateway keeps the image for a while: GET {url} with your token"
        ) from None


def parsed(parameters: list[str]) -> dict[str, Any]:
    """Return what `name=value` words say; `a.b=value` nests, and a value that is JSON is taken as that.

    Raises:
        FraguaError: a word is not of that form, or nests in another one's value.
    """
    found: dict[str, Any] = {}
    for word in parameters:
        name, equals, text = word.partition("=")
        if not (name and equals):
            raise FraguaError(f"--set {word}: write name=value, such as width=1024")
        *outer, last = name.split(".")
        inner = found
        for each in outer:
            inner = inner.setdefault(each, {})
            if not isinstance(inner, dict):
                raise FraguaError(f"--set {word}: {each} is {json.dumps(inner)} already: leave one out")
        try:
            inner[last] = json.loads(text)
        except ValueError:
            inner[last] = text
    return found


def described(job: dict[str, Any]) -> str:
    """Say in one line what a job made, and how long it took and what it cost where that is known."""
    [first, *_] = job["images"]
    seconds = f", {job['seconds']:.1f} s" if job["seconds"] is not None else ""
    cost = f", ${job['cost']:.5f}" if job["cost"] is not None else ""
    return f"{first['width']}x{first['height']}, seed {first['seed']}{seconds}{cost}"


def teller(voice: Voice) -> Callable[[str, dict[str, Any]], None]:
    """Return what shows a job's events in one line that moves."""

    def tell(event: str, data: dict[str, Any]) -> None:
        if event == "progress":
            step, steps = data["value"], data["max"]
            voice.moving(f"{bar(step, steps)} step {step} of {steps}")
        elif event == "queued":
            voice.moving(f"waiting: {data['position']} before it")
        elif event == "running":
            voice.moving("loading the models")

    return tell


def generate(
    endpoint: Endpoint, parameters: dict[str, Any], tell: Callable[[str, dict[str, Any]], None]
) -> tuple[bytes, dict[str, Any]]:
    """Return the first image as PNG, and the job that made it.

    Args:
        endpoint: the gateway.
        parameters: of the request, as its workflow wants them.
        tell: is told each event of the job: its name and its data.

    Raises:
        FraguaError: the gateway refuses or fails; what it says is in the message.
    """
    with httpx.Client(
        base_url=endpoint.url,
        verify=ssl.create_default_context(cadata=endpoint.certificate),
        headers={"Authorization": f"Bearer {endpoint.token}"},
        timeout=_SECONDS,
    ) as client:
        try:
            key = {"Idempotency-Key": str(uuid.uuid4())}
            job = _checked(client.post("/jobs", json=parameters, headers=key)).json()
            path = f"/jobs/{job['id']}"
            with (
                suppress(httpx.TransportError),
                client.stream("GET", f"{path}/events", timeout=_SILENCE) as events,
            ):
                for event, data in _events(events):
                    tell(event, data)
            # the events may have broken off
            while (job := _patiently(client, path).json())["state"] in ("queued", "running"):
                tell(*(("progress", job["progress"]) if job["progress"] else (job["state"], job)))
                time.sleep(_POLL)
            if job["state"] != "done":
                raise FraguaError(f"no image: {(job['error'] or {}).get('message', job['state'])}")
            return _patiently(client, job["images"][0]["url"]).content, job
        except httpx.HTTPError as error:
            raise FraguaError(
                f"{endpoint.url}: {error or type(error).__name__}: `./fragua pulumi up --refresh` "
                "starts what does not run"
            ) from None


def _patiently(client: httpx.Client, path: str) -> httpx.Response:
    """Get what a gateway has that may be away for a while."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        with suppress(httpx.TransportError):
            reply = client.get(path)
            if reply.status_code not in _AWAY:
                return _checked(reply)
        time.sleep(_POLL)
    return _checked(client.get(path))


def _checked(reply: httpx.Response) -> httpx.Response:
    if reply.is_success:
        return reply
    try:
        error = reply.json()["error"]
        where = f"{error['field']}: " if error.get("field") else ""
        message = f"{where}{error['message']}"
    except (ValueError, KeyError, TypeError):
        message = reply.text[:200]
    raise FraguaError(f"the gateway answers {reply.status_code}: {message}")


def _events(reply: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and data of each server-sent event."""
    name, data = "message", ""
    for line in reply.iter_lines():
        key, _, value = line.partition(":")
        if key == "event":
            name = value.strip()
        elif key == "data":
            data += value.strip()
        elif not line and data:
            yield name, json.loads(data)
            name, data = "message", ""
