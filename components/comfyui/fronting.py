"""The balancer on a machine: started or changed, and waited for until it serves. Knows no Pulumi."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from components.comfyui import balancer, gateway
from components.comfyui.front import address as public
from components.comfyui.service import ENDED
from components.comfyui.serving import CRASHES, POLL, STILL_BILLS, in_workspace, reach
from components.errors import RemoteError, ServiceFailed
from components.remote.job import start_script, stop_script
from components.remote.jobs import finish, state, tail
from components.remote.shell import PATIENCE, Login, connect
from components.say import say

if TYPE_CHECKING:
    from components.remote.shell import Shell

_SECONDS: Final = 30
"""For HAProxy to take its configuration up, and to have asked each replica."""


def begin(props: dict[str, Any]) -> dict[str, Any]:
    """Make the machine of a resource run the balancer as it says, and return the resource's outputs.

    What runs already reads its configuration anew where that is another, and drops nothing.

    Raises:
        JobFailed: HAProxy could not be installed.
        ServiceFailed: it does not stay up, does not take its configuration up, or is not reached.
    """
    version = _version(props)
    with connect(Login.of(props["login"]), PATIENCE) as shell:
        finish(shell, [balancer.INSTALL], props["limit"], say)
        files = balancer.files_script(props["config"], version, props["certificates"])
        in_workspace(shell, "leaving the balancer's files", files)
        start = start_script(balancer.SERVICE)
        in_workspace(shell, "keeping what starts after a reboot", gateway.boot_script([start], balancer.BOOT))
        shell.run("starting the balancer", start)
        _await(shell, version)
    reach("balancer", props["address"], int(props["port"]), props["certificate"])
    return {**props, "serving": True, "url": f"https://{public(props['address'], int(props['port']))}"}


def look(props: dict[str, Any]) -> bool:
    """Return whether it runs as it should; a machine that cannot be reached says nothing against it."""
    with suppress(RemoteError), connect(Login.of(props["login"])) as shell:
        return _told(shell)[0] == _version(props)
    return True


def end(props: dict[str, Any]) -> None:
    """Stop it where its machine can be reached; where not, nothing is left."""
    with suppress(RemoteError), connect(Login.of(props["login"])) as shell:
        shell.run("stopping the balancer", f"{stop_script(balancer.NAME)}\n{balancer.END}")


def _version(props: dict[str, Any]) -> str:
    return balancer.version(props["config"], props["certificate"], props["certificates"])


def _told(shell: Shell) -> tuple[str, dict[str, str]]:
    return balancer.told(in_workspace(shell, "asking the balancer", balancer.told_script()))


def _await(shell: Shell, version: str) -> None:
    """Wait until that version runs and has asked each replica whether it is ready, and one is."""
    deadline = time.monotonic() + _SECONDS
    reloaded = False
    while True:
        running, replicas = _told(shell)
        if running and running != version and not reloaded:
            in_workspace(shell, "changing the balancer", balancer.reload_script())
            reloaded = True
        lost = [f"{name} ({found})" for name, found in replicas.items() if found != balancer.REACHED]
        asked = running == version and balancer.NOT_ASKED not in replicas.values()
        if asked and len(lost) < len(replicas):
            if lost:
                say(f"the balancer does not reach {', '.join(lost)}: it serves without, and goes on asking")
            return
        late = time.monotonic() > deadline
        job = state(shell, balancer.NAME)
        log = "" if job.state == "running" and ENDED not in job.tail and not late else tail(shell, job)
        if job.state != "running" or log.count(f"{balancer.NAME} {ENDED}") >= CRASHES or late:
            raise ServiceFailed(f"the balancer does not serve. {STILL_BILLS}\n{log[-3000:]}")
        time.sleep(POLL)
