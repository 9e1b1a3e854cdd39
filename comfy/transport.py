"""HTTP to ComfyUI: what may be repeated is, and a prompt is never run twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import httpx

from comfy.errors import Problem, Rejected, Unreachable

if TYPE_CHECKING:
    from comfy.graph import Graph

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.2

_CUT = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""The connection broke; one that was kept alive may have been closed by the server long ago."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_BAD_GATEWAY = {502, 503, 504}
"""Said by what stands before ComfyUI, never by itself."""


class Transport:
    """The calls of one ComfyUI. All raise `Unreachable`."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            timeout=httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
            trust_env=False,
        )
        host = httpx.URL(base_url)
        self._name = f"ComfyUI at {host.host}:{host.port or host.scheme}"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(
        self, method: str, path: str, accept: tuple[int, ...] = (), **request: Any
    ) -> httpx.Response:
        """Make a call that does no harm when it is made twice.

        Args:
            method: of HTTP.
            path: from the root.
            accept: the statuses besides 200 that the caller knows what to do with.
            request: as httpx takes it.
        """
        try:
            try:
                response = await self._http.request(method, path, **request)
            except _CUT:
                response = await self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise self._silent(method, path, error) from None
        if response.status_code not in {200, *accept}:
            raise Unreachable(f"{self._name} answers {method} {path} with {response.status_code}")
        return response

    async def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        return self._json(await self.call("GET", path))

    async def queue(self) -> tuple[list[str], list[str]]:
        """Return the IDs of the prompts that run, and of those that wait, in order."""
        found = await self.get("/queue")
        pending = sorted(found["queue_pending"], key=lambda item: (item[0], item[1]))
        return [item[1] for item in found["queue_running"]], [item[1] for item in pending]

    async def entry(self, prompt_id: str) -> dict[str, Any] | None:
        """Return a prompt's entry in the history, once it has ended."""
        found: dict[str, dict[str, Any]] = await self.get(f"/history/{prompt_id}")
        return found.get(prompt_id)

    async def submit(self, graph: Graph, prompt_id: str, client_id: str) -> None:
        """Put a graph into the queue, once, even if an answer is lost on the way.

        Raises:
            Rejected: nothing of it runs.
            Unreachable: if the answer was lost, it may have been accepted: its ID tells.
        """
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        for _ in range(_TRIES):
            try:
                response = await self._http.post("/prompt", json=body)
            except _NOT_SENT as error:
                raise self._silent("POST", "/prompt", error) from None
            except httpx.TransportError as error:
                lost = self._silent("POST", "/prompt", error)
            else:
                if response.status_code not in _BAD_GATEWAY:
                    await self._judge(response, graph, prompt_id)
                    return
                lost = Unreachable(f"{self._name} answers POST /prompt with {response.status_code}")
            await asyncio.sleep(_PAUSE_SECONDS)
            if await self._knows(prompt_id):
                return
        raise lost

    async def drop(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, or stop it if it runs."""
        await self.call("POST", "/queue", json={"delete": [prompt_id]})
        await self.call("POST", "/interrupt", json={"prompt_id": prompt_id})

    async def _knows(self, prompt_id: str) -> bool:
        running, pending = await self.queue()
        # in this order: a prompt goes from the queue into the history
        return prompt_id in running + pending or await self.entry(prompt_id) is not None

    async def _judge(self, response: httpx.Response, graph: Graph, prompt_id: str) -> None:
        """Raise what the answer to a prompt says is wrong."""
        if response.status_code == 200:
            if problems := _problems(self._json(response), graph):
                await self.drop(prompt_id)  # ComfyUI runs the part that it likes
                raise Rejected(problems)
        elif response.status_code == 400:
            raise Rejected(_problems(self._json(response), graph))
        elif response.status_code in {413, 500}:
            why = "ComfyUI fails on it: is it a graph in API format? ComfyUI's log tells"
            if response.status_code == 413:
                why = "it is too large for ComfyUI"
            raise Rejected((Problem("", "", None, str(response.status_code), why),))
        else:
            raise Unreachable(f"{self._name} answers POST /prompt with {response.status_code}")

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise Unreachable(
                f"{self._name} does not answer as ComfyUI does: is it another server?"
            ) from None

    def _silent(self, method: str, path: str, error: httpx.TransportError) -> Unreachable:
        why = f"{type(error).__name__} {error}".strip()
        return Unreachable(f"{self._name} does not answer {method} {path} ({why}): does it run?")


def _problems(body: dict[str, Any], graph: Graph) -> tuple[Problem, ...]:
    """Return what the answer to POST /prompt says is wrong; nothing if all was accepted."""
    found = tuple(
        Problem(
            node,
            record["class_type"],
            error["extra_info"].get("input_name"),
            error["type"],
            _joined(error["message"], error["details"]),
        )
        for node, record in body.get("node_errors", {}).items()
        for error in record["errors"]
    )
    if found or "error" not in body:
        return found
    error = body["error"]
    details = error["details"]
    if error["type"] == "prompt_outputs_failed_validation":
        details = details or "no reason is given; a node that leads back to itself is one"
    node = details.removeprefix("Node ID '#").removesuffix("'") if error["type"] == "invalid_prompt" else ""
    entry = graph.get(node)
    kind = entry.get("class_type", "") if isinstance(entry, dict) else ""
    return (Problem(node, str(kind), None, error["type"], _joined(error["message"], details)),)


def _joined(message: str, details: str) -> str:
    return f"{message}: {details}" if details and details != message else message
