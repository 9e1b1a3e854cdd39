"""A tunnel to what listens on a stack's machine for itself only: ComfyUI, and the gateway."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from cli.project import outputs
from cli.renew import kept
from cli.ssh import arguments_of, forward
from components.comfyui.gateway import COMFYUI_PORT, PORT
from components.errors import FraguaError
from components.remote import openssh

if TYPE_CHECKING:
    from pathlib import Path


def run(root: Path, stack: str, node: int, comfyui: int, gateway: int) -> None:
    """Let the ports `comfyui` and `gateway` of loopback lead to the machine of that number until Ctrl-C.

    Raises:
        FraguaError: the stack does not serve, has no such machine, or the connection failed.
    """
    found = outputs(root, stack, "replicas")
    arguments = arguments_of(root, stack, found, node)
    tls = bool(found["replicas"][node - 1]["url"])
    print(f"ComfyUI: http://127.0.0.1:{comfyui}")
    print(
        f"gateway: http{'s' if tls else ''}://127.0.0.1:{gateway}"
        + (" (a certificate of its own: your browser will ask)" if tls else "")
    )
    print("Ctrl-C ends it", flush=True)
    ways = (*forward(comfyui, COMFYUI_PORT), *forward(gateway, PORT))
    # without the option, a port that is taken would only be warned of
    command = [*arguments, "-N", "-oExitOnForwardFailure=yes", *ways, openssh.MACHINE]
    try:
        with kept(found["machines"]):
            ended = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    except KeyboardInterrupt:
        return
    if "Address already in use" in ended.stderr:
        raise FraguaError(
            f"port {comfyui} or {gateway} is taken: choose others by --comfyui-port and --gateway-port"
        )
    openssh.check("the tunnel", ended.returncode, ended.stderr)
