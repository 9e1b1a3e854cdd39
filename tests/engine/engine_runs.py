"""A simulator with its control plane, and a stack that the real CLI runs."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from components.remote.shell import Login


@dataclass
class Cloud:
    """A simulator, and its control plane."""

    url: str
    api_key: str

    def ask(self, verb: str, order: str, /, **body: Any) -> Any:
        reply = requests.request(verb, f"{self.url}/_sim/{order}", json=body or None, timeout=60)
        reply.raise_for_status()
        return reply.json()

    def api(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        reply = requests.request(method, self.url + path, json=body, headers=headers, timeout=60)
        reply.raise_for_status()
        return reply.json()

    def contracts(self, label: str) -> list[dict[str, Any]]:
        """Every contract that was ever made with that word in its label."""
        return [found for found in self.ask("GET", "ledger")["contracts"] if label in (found["label"] or "")]

    def billing(self, label: str) -> list[int]:
        """Return the ids of those that bill, or will again once their host is back."""
        return [found["id"] for found in self.contracts(label) if found["status"] != "destroyed"]

    def ssh_keys(self) -> list[str]:
        return [key.get("key") or key["public_key"] for key in self.api("GET", "/api/v0/ssh/")]


@dataclass
class Done:
    code: int
    output: str


@dataclass
class Stack:
    """One stack in a project folder of its own."""

    name: str
    folder: Path
    environment: dict[str, str]
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.children.append(process)
        return process

    def try_(self, *arguments: str) -> Done:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=200)
        return Done(process.returncode, output)

    def pulumi(self, *arguments: str) -> str:
        done = self.try_(*arguments)
        assert done.code == 0, done.output
        return done.output

    def up(self, *arguments: str) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", *arguments)

    def destroy(self) -> str:
        return self.pulumi("destroy", "--yes", "--skip-preview")

    def preview(self) -> str:
        return self.pulumi("preview")

    def steps(self) -> dict[str, int]:
        """What a preview would do: operation -> how many resources."""
        process = self.start("preview", "--json")
        output, _ = process.communicate(timeout=200)
        return dict(json.loads(output[output.index("{") :])["changeSummary"])

    def configure(self, **values: object) -> None:
        """Set config, `a__b` for the path a.b; None removes."""
        paths = {name.replace("__", "."): value for name, value in values.items()}
        plain = [f"{path}={value}" for path, value in paths.items() if value is not None]
        if plain:
            pairs = [word for pair in plain for word in ("--plaintext", pair)]
            self.pulumi("config", "set-all", "--path", *pairs)
        for path, value in paths.items():
            if value is None:
                self.pulumi("config", "rm", "--path", path)

    def outputs(self) -> dict[str, Any]:
        return dict(json.loads(self.pulumi("stack", "output", "--json")))

    def resource(self, kind: str) -> dict[str, Any]:
        """Return what the state holds of the one resource whose type ends so, with its secrets."""
        resources = json.loads(self.pulumi("stack", "export", "--show-secrets"))["deployment"]["resources"]
        [found] = [each for each in resources if each["type"].endswith(kind)]
        return dict(found)

    def login(self) -> Login:
        """Return how to reach the stack's machine."""
        machine = self.resource("vast:Instance")["outputs"]
        secret = self.resource("vast:SshKey")["outputs"]["private_key"]
        return Login.of({**machine, "private_key": json.loads(secret["plaintext"])})

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a command at once, with the plugins that it started."""
        for pid in [process.pid, *descendants(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=60)


def descendants(pid: int) -> list[int]:
    """Return the processes that `pid` started, and those that they started."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in task.read_text().split()
    ]
    return [found for child in children for found in (child, *descendants(child))]


MakeStack = Callable[..., Stack]
