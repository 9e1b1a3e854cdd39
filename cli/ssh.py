"""SSH to a stack's machine with the system's own `ssh`: the stack's key, and the pinned host key only."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

from cli.project import outputs
from cli.renew import kept, used
from components.errors import FraguaError
from components.kohya.launch import Launch
from components.remote import openssh
from components.remote.job import WORKSPACE
from components.remote.shell import Login

if TYPE_CHECKING:
    from pathlib import Path


def shell(root: Path, stack: str, command: list[str], node: int) -> None:
    """Become `ssh` to the machine of `stack` with that number.

    Raises:
        FraguaError: there is no such machine, or the number was given as a part of the command.
    """
    if command[:1] == ["--node"]:
        raise FraguaError(f"--node goes before the stack: ./fragua ssh --node 2 {stack}")
    found = outputs(root, stack)
    arguments = arguments_of(root, stack, found, node)
    if not command:
        used(found["machines"]["node" if node == 1 else f"node-{node}"], stack)
    os.execvp("ssh", [*arguments, openssh.MACHINE, *command])  # noqa: S606 - the person wants ssh itself


def tensorboard(root: Path, stack: str, port: int) -> None:
    """Serve the training's TensorBoard at localhost:`port` until Ctrl-C; it listens on loopback only."""
    found = outputs(root, stack, "logs")
    program = Launch.model_validate_json(found["launch"]).tensorboard
    serve = (
        f'cd "{WORKSPACE}" && exec {program} --logdir {shlex.quote(found["logs"])} '
        f"--host 127.0.0.1 --port {port}"
    )
    print(f"TensorBoard: http://localhost:{port} (Ctrl-C ends it)", flush=True)
    # -tt: the server on the machine ends with this connection
    tunnel = ("-tt", *forward(port, port), openssh.MACHINE)
    with kept(found["machines"]):
        subprocess.run([*arguments_of(root, stack, found, 1), *tunnel, serve], check=False)


def arguments_of(root: Path, stack: str, found: dict[str, Any], node: int) -> list[str]:
    """Return an `ssh` command that wants options and `openssh.MACHINE`, the machine of that number.

    Args:
        root: of the project.
        stack: its name.
        found: its outputs.
        node: 1 is the first machine.

    Raises:
        FraguaError: the stack has no such machine.
    """
    machines = found["machines"]
    name = "node" if node == 1 else f"node-{node}"
    if name not in machines:
        raise FraguaError(f"stack {stack} has {len(machines)} machine(s), none with number {node}")
    return openssh.arguments(Login.of(machines[name]["login"]), root / ".fragua" / "ssh" / stack / name)


def forward(port: int, there: int) -> tuple[str, str]:
    """Return the option of `ssh` that lets loopback's `port` lead to the port `there` on the machine."""
    return ("-L", f"127.0.0.1:{port}:127.0.0.1:{there}")
