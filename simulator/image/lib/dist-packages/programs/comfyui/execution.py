"""The one worker: runs the prompts' nodes in the real one's order, tells what happens, keeps the history."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from models.safetensors import SafetensorError

from programs.comfyui import speed
from programs.comfyui.nodes import FUNCTIONS, Shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from PIL import Image

    from programs.comfyui.folders import Folders
    from programs.comfyui.sockets import Sockets
    from programs.comfyui.table import Table
    from programs.comfyui.waiting import Item, PromptQueue

_SENSITIVE = ("auth_token_comfy_org", "api_key_comfy_org")
_TIPS = (
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might "
    "have accidentally set the batch_size to a large number."
)


class Interrupted(Exception):
    """Somebody ended the prompt."""


class Worker(threading.Thread):
    """Runs prompts one after the other.

    Attributes:
        current: the ID of the prompt that runs.
    """

    def __init__(
        self, args: argparse.Namespace, folders: Folders, table: Table, queue: PromptQueue, sockets: Sockets,
        log: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Make one that has not started."""
        super().__init__(name="prompt_worker", daemon=True)
        self.args, self.folders, self.table, self.sockets, self.log = args, folders, table, sockets, log
        self.current: str | None = None
        self.interrupt = threading.Event()
        self.cache: dict[str, tuple[Any, Any]] = {}
        self._queue = queue

    def run(self) -> None:
        """Work until the program ends, or a prompt's extra data are no object: then this thread dies."""
        while True:
            item = self._queue.get(1000.0)
            if item is not None:
                began = time.monotonic()
                self.current = item[1]
                hidden = [key for key in _SENSITIVE if key in item[3]]
                extra = {key: value for key, value in item[3].items() if key not in hidden}
                self.interrupt.clear()
                speed.use_gpu(busy=True)
                execution = Execution(self, item, extra)
                execution.run()
                self.current = None
                speed.use_gpu(busy=False)
                self._queue.done(item, execution.entry())
                if self.sockets.client is not None:
                    self.sockets.send("executing", {"node": None, "prompt_id": item[1]}, self.sockets.client)
                self.log(f"Prompt executed in {time.monotonic() - began:.2f} seconds")
            flags = self._queue.take_flags()
            if flags.get("free_memory"):
                self.cache.clear()


class Execution:
    """One prompt on its way through the nodes; it is the `Job` that they see."""

    def __init__(self, worker: Worker, item: Item, extra: dict[str, Any]) -> None:
        """Prepare a prompt that was accepted."""
        self._worker, self._item, self._extra = worker, item, extra
        _, self._id, self._graph, _, self._outputs = item
        worker.sockets.client = extra.get("client_id")
        self.folders, self.log = worker.folders, worker.log
        self.previews = worker.args.preview_method != "none"
        self.metadata: dict[str, Any] | None = None
        if not worker.args.disable_metadata:
            self.metadata = {"prompt": self._graph, **(extra.get("extra_pnginfo") or {})}
        self._messages: list[tuple[str, dict[str, Any]]] = []
        self._states: dict[str, dict[str, Any]] = {}
        self._shown: dict[str, Shown] = {}
        self._executed: list[str] = []
        self._signatures: dict[str, str] = {}
        self._results: dict[str, tuple[Any, Any]] = {}
        self._node = ""
        self._succeeded = False

    def run(self) -> None:
        """Run the nodes that are needed; whatever goes wrong is told and remembered."""
        self._tell("execution_start", {"prompt_id": self._id}, broadcast=False)
        cache = self._worker.cache
        known = {} if self._worker.args.cache_none else cache
        for node in self._graph:
            if (signature := self._signature(node)) in known:
                self._results[node] = known[signature]
        keep = {self._signature(node) for node in self._results}
        for signature in set(cache) - keep:
            del cache[signature]
        self._tell("execution_cached", {"nodes": list(self._results), "prompt_id": self._id}, broadcast=False)
        try:
            self._run_nodes()
        except Interrupted:
            self._fail("execution_interrupted", {}, broadcast=True)
        except Exception as error:  # noqa: BLE001 - a node may raise anything
            self._fail("execution_error", self._described(error), broadcast=False)
        else:
            self._succeeded = True
            self._tell("execution_success", {"prompt_id": self._id}, broadcast=False)
        self._worker.sockets.node = None

    def entry(self) -> dict[str, Any]:
        """Return what the history keeps."""
        number, prompt_id, graph, _, outputs = self._item
        return {
            "prompt": [number, prompt_id, graph, self._extra, outputs],
            "outputs": {node: {"images": shown} for node, shown in self._shown.items()},
            "status": {
                "status_str": "success" if self._succeeded else "error",
                "completed": self._succeeded,
                "messages": self._messages,
            },
            "meta": {
                node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
                for node in self._shown
            },
        }

    def progress(
        self, value: int, total: int, preview: Image.Image | None = None, form: str = "JPEG"
    ) -> None:
        """Tell how far the running node is, with what it looks like.

        Raises:
            Interrupted: somebody wants the prompt to end.
        """
        if self._worker.interrupt.is_set():
            raise Interrupted
        sockets, node = self._worker.sockets, self._node
        self._state(node, value, total, "running")
        news = {"value": value, "max": total, "prompt_id": self._id, "node": node}
        about = {key: self._states[node][key] for key in
                 ("node_id", "prompt_id", "display_node_id", "parent_node_id", "real_node_id")}  # fmt: skip
        flagged = sockets.wants_metadata(sockets.client)
        if preview and flagged:
            sockets.send_image(preview, form, about)
        sockets.send("progress", news, sockets.client)
        if preview and not flagged:
            sockets.send_image(preview, form, None)

    def _run_nodes(self) -> None:
        order = list[str]()
        needs = dict[str, set[str]]()
        stack = [output for output in self._graph if output in self._outputs]
        while stack:
            node = stack.pop()
            if node in needs:
                continue
            order.append(node)
            sources = [source for source in self._sources(node) if source not in self._results]
            needs[node] = set(sources) if node not in self._results else set()
            stack += sources if node not in self._results else []
        while needs:
            ready = [node for node in order if node in needs and not needs[node]]
            node = self._next(ready, needs)
            self._run_node(node)
            del needs[node]
            for others in needs.values():
                others.discard(node)

    def _next(self, ready: list[str], needs: dict[str, set[str]]) -> str:
        """Choose as the real one does: what shows something early, and what leads to it."""

        def shows(node: str) -> bool:
            return self._worker.table.output_node(self._graph[node]["class_type"])

        for node in ready:
            if shows(node):
                return node
        for node in ready:
            if any(shows(after) for after, before in needs.items() if node in before):
                return node
        return ready[0]

    def _run_node(self, node: str) -> None:
        self._node = node
        sockets, name = self._worker.sockets, self._graph[node]["class_type"]
        if node in self._results:
            shown = self._results[node][1]
            if shown is not None:
                self._show(node, shown)
            self._state(node, 1, 1, "finished")
            return
        if self._worker.interrupt.is_set():
            raise Interrupted
        self._state(node, 0.0, 1.0, "running")
        sockets.node = node
        if sockets.client is not None:
            sockets.send(
                "executing", {"node": node, "display_node": node, "prompt_id": self._id}, sockets.client
            )
        result = self._call(name, self._inputs(node))
        shown = result if isinstance(result, Shown) else None
        self._results[node] = (() if shown is not None else result, shown)
        if name != "SaveImageWebsocket":
            self._worker.cache[self._signature(node)] = self._results[node]
        if shown is not None:
            self._show(node, shown)
        self._executed.append(node)
        total = self._states[node]["max"]
        self._state(node, total, total, "finished")

    def _call(self, name: str, inputs: dict[str, Any]) -> Any:
        if name in FUNCTIONS:
            return FUNCTIONS[name](self, **inputs)
        if name in self._worker.table.custom:
            made = self._worker.table.custom[name]
            return getattr(made(), made.FUNCTION)(**inputs)
        raise NotImplementedError(f"the stand-in for ComfyUI does not simulate {name}")

    def _inputs(self, node: str) -> dict[str, Any]:
        record = self._worker.table.record(self._graph[node]["class_type"])["input"]
        known = {**record.get("required", {}), **record.get("optional", {})}
        found = {}
        for key, value in self._graph[node]["inputs"].items():
            if key in known:
                found[key] = self._results[value[0]][0][value[1]] if isinstance(value, list) else value
        return found

    def _sources(self, node: str) -> list[str]:
        known = self._worker.table.record(self._graph[node]["class_type"])["input"]
        names = {**known.get("required", {}), **known.get("optional", {})}
        return [value[0] for key, value in self._graph[node]["inputs"].items()
                if key in names and isinstance(value, list)]  # fmt: skip

    def _signature(self, node: str) -> str:
        """Return what a node's result depends on."""
        if node not in self._signatures:
            self._signatures[node] = ""  # an unused circle has none
            entry = self._graph[node]
            inputs = [
                (
                    key,
                    [self._signature(value[0]), value[1]]
                    if isinstance(value, list) and value[0] in self._graph
                    else value,
                )
                for key, value in sorted(entry.get("inputs", {}).items())
            ]
            changed = 0
            if entry["class_type"].startswith("LoadImage"):
                file = self.folders.input / str(entry["inputs"].get("image"))
                changed = file.stat().st_mtime_ns if file.is_file() else 0
            text = json.dumps([entry["class_type"], inputs, changed])
            self._signatures[node] = hashlib.sha256(text.encode()).hexdigest()
        return self._signatures[node]

    def _show(self, node: str, shown: Shown) -> None:
        self._shown[node] = shown
        sockets = self._worker.sockets
        if sockets.client is not None:
            news = {"node": node, "display_node": node, "output": {"images": shown}, "prompt_id": self._id}
            sockets.send("executed", news, sockets.client)

    def _state(self, node: str, value: float, total: float, state: str) -> None:
        self._states[node] = {
            "value": value, "max": total, "state": state, "node_id": node, "prompt_id": self._id,
            "display_node_id": node, "parent_node_id": None, "real_node_id": node,
        }  # fmt: skip
        sockets = self._worker.sockets
        news = {"prompt_id": self._id, "nodes": self._states}
        sockets.send("progress_state", news, sockets.client)

    def _tell(self, event: str, data: dict[str, Any], *, broadcast: bool) -> None:
        data = {**data, "timestamp": int(time.time() * 1000)}
        self._messages.append((event, data))
        sockets = self._worker.sockets
        if sockets.client is not None or broadcast:
            sockets.send(event, data, sockets.client)

    def _fail(self, event: str, about: dict[str, Any], *, broadcast: bool) -> None:
        kind = self._graph[self._node]["class_type"]
        data = {"prompt_id": self._id, "node_id": self._node, "node_type": kind, "executed": self._executed}
        self._tell(event, {**data, **about}, broadcast=broadcast)

    def _described(self, error: Exception) -> dict[str, Any]:
        module, name = type(error).__module__, type(error).__qualname__
        kind = name if module == "builtins" else f"{module}.{name}"
        message = f"{error}\n"
        if isinstance(error, speed.OutOfMemory):
            kind, message = "torch.OutOfMemoryError", f"{error}\n{_TIPS}"
            self.log("Got an OOM, unloading all loaded models.")
        elif isinstance(error, SafetensorError):
            kind = "safetensors._safetensors_rust.SafetensorError"
            if "MetadataIncompleteBuffer" in message:
                message = "Error while deserializing header: incomplete metadata, file not fully covered\n"
        self.log(f"!!! Exception during processing !!! {message.strip()}\n{traceback.format_exc()}")
        inputs = self._graph[self._node]["inputs"]
        return {
            "exception_message": message,
            "exception_type": kind,
            "traceback": traceback.format_tb(error.__traceback__),
            "current_inputs": {
                key: [str(value)] for key, value in inputs.items() if not isinstance(value, list)
            },
            "current_outputs": list(self._graph),
        }
