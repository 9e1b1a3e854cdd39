"""SSH to a stack's machine with the system's own `ssh`: the stack's key, and the pinned host key only."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

from cli.project import outputs
from components.kohya.launch import Launch
from components.remote import openssh
from components.remote.job import WORKSPACE
from components.remote.shell import Login

if TYPE_CHECKING:
    from pathlib import Path


def shell(root: Path, stack: str, command: list[str]) -> None:
    """Become `ssh` to the machine of `stack`."""
    os.execvp("ssh", [*_ssh(root, stack, outputs(root, stack)), *command])  # noqa: S606 - the person wants ssh itself


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
    tunnel = ("-tt", "-L", f"127.0.0.1:{port}:127.0.0.1:{port}")
    subprocess.run([*_ssh(root, stack, found, *tunnel), serve], check=False)


def _ssh(root: Path, stack: str, found: dict[str, Any], *options: str) -> list[str]:
    arguments = openssh.arguments(Login.of(found["login"]), root / ".fragua" / "ssh" / stack)
    return [*arguments, *options, openssh.MACHINE]
