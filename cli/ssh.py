"""SSH to a stack's machine with the system's own `ssh`: the stack's key, and the pinned host key only."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from cli.project import outputs
from components.kohya.plan import VENV
from components.remote.job import WORKSPACE
from components.remote.shell import Login

if TYPE_CHECKING:
    from pathlib import Path


def shell(root: Path, stack: str, command: list[str]) -> None:
    """Become `ssh` to the machine of `stack`."""
    arguments = _ssh(root, stack, Login.of(outputs(root, stack)["login"]))
    os.execvp("ssh", [*arguments, *command])  # noqa: S606 - the person wants ssh itself


def tensorboard(root: Path, stack: str, port: int) -> None:
    """Serve the training's TensorBoard at localhost:`port` until Ctrl-C; it listens on loopback only."""
    found = outputs(root, stack, "logs")
    serve = (
        f'cd "{WORKSPACE}" && exec {VENV}/bin/tensorboard --logdir {shlex.quote(found["logs"])} '
        f"--host 127.0.0.1 --port {port}"
    )
    arguments = _ssh(root, stack, Login.of(found["login"]))
    print(f"TensorBoard: http://localhost:{port} (Ctrl-C ends it)", flush=True)
    # -tt: the server on the machine ends with this connection
    subprocess.run([*arguments, "-tt", "-L", f"127.0.0.1:{port}:127.0.0.1:{port}", serve], check=False)


def _ssh(root: Path, stack: str, login: Login) -> list[str]:
    folder = root / ".fragua" / "ssh" / stack
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, known = folder / "id_ed25519", folder / "known_hosts"
    key.touch(mode=0o600)
    key.write_text(login.private_key, encoding="utf-8")
    known.write_text(f"[{login.host}]:{login.port} {login.host_key}\n", encoding="utf-8")
    options = {
        "UserKnownHostsFile": str(known),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlgorithms": "ssh-ed25519",
        "IdentitiesOnly": "yes",
        "LogLevel": "ERROR",
    }
    pairs = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "/dev/null", "-i", str(key), *pairs, "-p", str(login.port), f"root@{login.host}"]
