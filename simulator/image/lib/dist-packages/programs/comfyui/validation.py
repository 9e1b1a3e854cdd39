"""Whether a graph may run: the server's own checks, in its order and with its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from programs.comfyui.folders import Folders
    from programs.comfyui.table import Table

Graph = dict[str, Any]
_LONG_LIST = 20


class Verdict(NamedTuple):
    """The outputs that may run, or the error that refuses the whole; problems by node in either case."""

    outputs: list[str]
    error: dict[str, Any] | None
    node_errors: dict[str, Any]


def validate(  # noqa: C901 - the real one's steps in their order
    graph: Graph, table: Table, folders: Folders, targets: list[str] | None
) -> Verdict:
    """Check a graph; values are converted in place, as the real one does.

    Raises:
        Exception: whatever a graph of a wrong shape makes of it; the real server answers 500 then.
    """
    outputs = []
    for node in graph:
        if "class_type" not in graph[node]:
            message = "Cannot execute because a node is missing the class_type property."
            return _refused("invalid_prompt", message, f"Node ID '#{node}'")
        name = graph[node]["class_type"]
        if name not in table:
            return _refused(
                "invalid_prompt", f"Cannot execute because node {name} does not exist.", f"Node ID '#{node}'"
            )
        if table.output_node(name) and (targets is None or node in targets):
            outputs.append(node)
    if not outputs:
        return _refused("prompt_no_outputs", "Prompt has no outputs", "")
    check = _Check(graph, table, folders)
    good, reasons = [], list[dict[str, Any]]()
    node_errors: dict[str, Any] = {}
    for output in outputs:
        try:
            valid, problems = check.node(output)
        except Exception as error:  # noqa: BLE001 - as the real one
            valid, problems = False, [_exception("exception_during_validation", "validating node", error)]
            check.done[output] = (valid, problems)
        if valid:
            good.append(output)
            continue
        reasons += problems
        for node, (fine, found) in check.done.items():
            if not fine and found:
                entry = node_errors.setdefault(
                    node, {"errors": found, "dependent_outputs": [], "class_type": graph[node]["class_type"]}
                )
                entry["dependent_outputs"].append(output)
    if good:
        return Verdict(good, None, node_errors)
    details = "\n".join(f"{reason['message']}: {reason['details']}" for reason in reasons)
    refusal = _refused("prompt_outputs_failed_validation", "Prompt outputs failed validation", details)
    return refusal._replace(node_errors=node_errors)


def _refused(kind: str, message: str, details: str) -> Verdict:
    return Verdict([], {"type": kind, "message": message, "details": details, "extra_info": {}}, {})


class _Check:
    def __init__(self, graph: Graph, table: Table, folders: Folders) -> None:
        self.done: dict[str, tuple[bool, list[dict[str, Any]]]] = {}
        self._graph, self._table, self._folders = graph, table, folders

    def node(self, node: str) -> tuple[bool, list[dict[str, Any]]]:
        """Check a node and all that it needs."""
        if node in self.done:
            return self.done[node]
        inputs = self._graph[node]["inputs"]
        name = self._graph[node]["class_type"]
        self.done[node] = (False, [])  # who comes back here goes round in a circle
        record = self._table.record(name)
        specs = {key: (need, spec) for need in ("required", "optional")
                 for key, spec in record["input"].get(need, {}).items()}  # fmt: skip
        errors, valid = list[dict[str, Any]](), True
        for key, (need, spec) in specs.items():
            if key not in inputs:
                if need == "required":
                    errors.append(
                        _error("required_input_missing", "Required input is missing", key, input_name=key)
                    )
            elif isinstance(inputs[key], list):
                valid = self._link(key, spec, inputs[key], errors) and valid
            else:
                self._value(name, key, spec, inputs, errors)
        self.done[node] = (valid and not errors, errors)
        return self.done[node]

    def _link(self, key: str, spec: list[Any], value: list[Any], errors: list[dict[str, Any]]) -> bool:
        if len(value) != 2:
            errors.append(_error(
                "bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", key,
                input_name=key, input_config=spec, received_value=value,
            ))  # fmt: skip
            return True
        source, slot = value
        received = tuple(self._table.record(self._graph[source]["class_type"])["output"])[slot]
        wanted = "COMBO" if isinstance(spec[0], list) else spec[0]
        if received != wanted and "*" not in {received, wanted}:
            errors.append(_error(
                "return_type_mismatch", "Return type mismatch between linked nodes",
                f"{key}, received_type({received}) mismatch input_type({wanted})",
                input_name=key, input_config=spec, received_type=received, linked_node=value,
            ))  # fmt: skip
            return True
        try:
            return self.node(source)[0]
        except Exception as error:  # noqa: BLE001 - as the real one
            problem = _exception("exception_during_inner_validation", "validating inner node", error)
            self.done[source] = (False, [problem])
            return False

    def _value(
        self, name: str, key: str, spec: list[Any], inputs: dict[str, Any], errors: list[dict[str, Any]]
    ) -> None:
        kind, settings = spec[0], spec[1] if len(spec) > 1 else {}
        value = inputs[key]
        if isinstance(value, dict) and "__value__" in value:
            value = inputs[key] = value["__value__"]
        about = {"input_name": key, "input_config": spec, "received_value": value}
        convert = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}.get(
            kind if isinstance(kind, str) else ""
        )
        if convert:
            try:
                value = inputs[key] = about["received_value"] = convert(value)
            except (TypeError, ValueError) as error:
                errors.append(_error(
                    "invalid_input_type", f"Failed to convert an input value to a {kind} value",
                    f"{key}, {value}, {error}", **about, exception_message=str(error),
                ))  # fmt: skip
                return
        if (name, key) in {("LoadImage", "image"), ("LoadImageMask", "image")}:
            place = self._folders.input / str(value)
            if not place.is_file():
                errors.append(_error(
                    "custom_validation_failed", "Custom validation failed for node",
                    f"{key} - Invalid image file: {value}", input_name=key,
                ))  # fmt: skip
            return
        options = kind if isinstance(kind, list) else settings.get("options") if kind == "COMBO" else None
        if "min" in settings and value < settings["min"]:
            message = f"Value {value} smaller than min of {settings['min']}"
            errors.append(_error("value_smaller_than_min", message, key, **about))
        elif "max" in settings and value > settings["max"]:
            message = f"Value {value} bigger than max of {settings['max']}"
            errors.append(_error("value_bigger_than_max", message, key, **about))
        elif options is not None and value not in options:
            long = len(options) > _LONG_LIST
            listed = f"(list of length {len(options)})" if long else str(options)
            errors.append(_error(
                "value_not_in_list", "Value not in list", f"{key}: '{value}' not in {listed}",
                **{**about, "input_config": None if long else spec},
            ))  # fmt: skip


def _error(kind: str, message: str, details: str, **about: Any) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": about}


def _exception(kind: str, doing: str, error: Exception) -> dict[str, Any]:
    about = {"exception_type": type(error).__name__, "traceback": []}
    return _error(kind, f"Exception when {doing}", str(error), **about)
