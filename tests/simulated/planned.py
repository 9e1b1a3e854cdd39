"""A stack that is previewed and brought up without an engine, and machines that it asks for."""

from typing import Any

import pulumi
import pytest
from rented import Cloud

from components.spec.machine import MachineJob
from components.stacks.asked import Asked, of_machine
from components.stacks.price import Priced, priced

NODE: dict[str, Any] = {
    "gpu": {"models": ["RTX 4090", "RTX 3090"], "cuda": 11},
    "image": "ubuntu",
    "disk": 20,
    "max_price": 3,
    "reliability": 0.5,
}


def asked(machines: int = 1, budget: dict[str, Any] | None = None, **node: Any) -> Asked:
    job = MachineJob.model_validate({"kind": "machine", "node": {**NODE, **node}, "budget": budget or {}})
    found = of_machine(job)
    return Asked(found.node, found.budget, found.work, machines)


class State(pulumi.runtime.Mocks):
    """What the engine would tell of the stack."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        assert args.token == "pulumi:pulumi:readStackResourceOutputs"
        return {"name": args.args["stackName"], "outputs": self.rows}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return args.name, args.inputs

    def knows(self, public_key: str) -> None:
        """Let the stack have that SSH key, besides what it has."""
        row = {"type": "pulumi-python:dynamic/vast:SshKey", "outputs": {"public_key": public_key}}
        self.rows["urn:s::key"] = row

    def holds(self, asked: Asked, outputs: dict[str, Any], **machine: Any) -> None:
        """Let the stack be up, as `asked` and with those outputs."""
        found = {
            "node": asked.node.model_dump(mode="json", exclude_defaults=True),
            "instance_id": 7,
            "status": "running",
            "price": 0.5,
            "gpu": "RTX 4090",
            "gpu_count": 1,
            "vram": 24564,
            "interruptible": False,
            **machine,
        }
        self.rows = {"urn:s::stack": {"type": "pulumi:pulumi:Stack", "outputs": outputs}}
        for number in range(1, asked.machines + 1):
            name = "node" if number == 1 else f"node-{number}"
            self.rows[f"urn:s::{name}"] = {"type": "pulumi-python:dynamic/vast:Instance", "outputs": found}


class Stack:
    """A stack that is previewed and brought up without an engine."""

    def __init__(self, state: State, cloud: Cloud, said: pytest.LogCaptureFixture) -> None:
        self.state, self._cloud, self._said = state, cloud, said

    def _run(self, asked: Asked, *, preview: bool) -> Priced:
        self._said.clear()
        pulumi.runtime.set_mocks(self.state, project="p", stack="s", preview=preview, organization="o")
        return priced(asked, lambda _: "job.yaml:3: ")

    def preview(self, asked: Asked) -> Priced:
        return self._run(asked, preview=True)

    def up(self, asked: Asked) -> Priced:
        return self._run(asked, preview=False)

    @property
    def said(self) -> str:
        return self._said.text

    @property
    def searches(self) -> int:
        return int(self._cloud.ask("GET", "calls")["counts"].get("POST /api/v0/bundles", 0))
