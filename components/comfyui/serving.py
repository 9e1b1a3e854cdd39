"""ComfyUI and the gateway on a machine: started, and waited for until an image was made. Knows no Pulumi."""

from __future__ import annotations

import base64
import json
import shlex
import ssl
import time
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from components.comfyui import balancer, gateway
from components.comfyui.front import address as public
from components.comfyui.models import links_script
from components.comfyui.plan import digest
from components.comfyui.service import ENDED
from components.errors import RemoteError, ServiceFailed
from components.remote.job import WORKSPACE, Job, start_script, stop_script
from components.remote.jobs import finish, state, states, tail
from components.remote.shell import PATIENCE, Login, connect
from components.say import say

if TYPE_CHECKING:
    from components.remote.shell import Shell

SERVICES: Final = ("comfyui", "gateway")

POLL: Final = 1.0
_OPEN_SECONDS: Final = 60
"""For a public port to lead to the gateway that answers on the machine already."""

_LACKS: Final = "ComfyUI does not have"
"""How the gateway begins to say what no waiting brings."""

CRASHES: Final = 3
"""A service that has ended so often while it is waited for will not serve."""

STILL_BILLS: Final = "The machine still bills: mend the job and run `pulumi up` again, or `pulumi destroy`."


def begin(props: dict[str, Any]) -> dict[str, Any]:
    """Make the machine of a resource serve, and return the resource's outputs.

    What is as it should be already is left alone, so that a repeated `begin` changes and restarts only what
    differs.

    Raises:
        JobFailed: a preparation failed.
        ServiceFailed: a service ends again and again, or does not answer within the limit.
    """
    deadline = time.monotonic() + props["limit"]
    tls = bool(props["expose"])
    with connect(Login.of(props["login"]), PATIENCE) as shell:
        jobs = [Job(name, script) for name, script in props["preparations"].items()]
        finish(shell, jobs, props["limit"], say)
        links = {link: path for link, path in props["links"].items() if path}
        in_workspace(shell, "linking the models", links_script(props["folder"], links))
        settings = {**props["settings"], "GATEWAY_PRICE": f"{props['price']:.6f}", **props["secrets"]}
        files = {
            ".env": "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()),
            "catalogue.json": props["catalogue"],
            "tokens": "".join(f"{name}:{digest}\n" for name, digest in props["tokens"].items()),
        }
        in_workspace(shell, "leaving the gateway's settings", gateway.files_script(files))
        certificate = ""
        if tls:
            certificate = in_workspace(
                shell, "making a certificate", gateway.certificate_script(props["address"])
            )
        # the gateway tries ComfyUI anew when it starts: so it does where anything that it rests on is another
        version = digest(props["code"], props["comfyui"], json.dumps(links), *files.values(), certificate)
        services = [Job("comfyui", props["comfyui"]), gateway.gateway(version)]
        scripts = [start_script(service) for service in services]
        in_workspace(
            shell, "keeping what starts after a reboot", gateway.boot_script([*scripts, balancer.BOOT_SCRIPT])
        )
        for service, script in zip(services, scripts, strict=True):
            shell.run(f"starting {service.name}", script)
        _await(shell, deadline, tls=tls)
    if tls:
        reach("gateway", props["address"], int(props["port"]), certificate)
    return {**props, "certificate": certificate, "serving": True, **_shown(props, certificate)}


def look(props: dict[str, Any]) -> bool:
    """Return whether an image can be made; a machine that cannot be reached says nothing against it."""
    with suppress(RemoteError), connect(Login.of(props["login"])) as shell:
        return _asked(shell, tls=bool(props["expose"]))[0]
    return True


def end(props: dict[str, Any]) -> None:
    """Stop the services of a resource where its machine can be reached; where not, nothing is left."""
    with suppress(RemoteError), connect(Login.of(props["login"])) as shell:
        for name in reversed(SERVICES):
            shell.run(f"stopping {name}", stop_script(name))


def _shown(props: dict[str, Any], certificate: str) -> dict[str, Any]:
    if not props["expose"]:
        return {"url": "", "fingerprint": "", "pin": ""}
    found = load_pem_x509_certificate(certificate.encode())
    key = found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = sha256(found.public_bytes(Encoding.DER)).hexdigest().upper()
    return {
        "url": f"https://{public(props['address'], int(props['port']))}",
        "fingerprint": ":".join(digest[at : at + 2] for at in range(0, len(digest), 2)),
        "pin": f"sha256//{base64.b64encode(sha256(key).digest()).decode()}",
    }


def in_workspace(shell: Shell, what: str, script: str) -> str:
    """Run a script in the machine's workspace, and return what it printed."""
    return shell.run(what, f'cd "{WORKSPACE}" || exit\n{script}')


def _await(shell: Shell, deadline: float, *, tls: bool) -> None:
    """Wait until the gateway says that an image was made."""
    told = ""
    while True:
        ready, reason = _asked(shell, tls=tls)
        if ready:
            return
        found = states(shell, list(SERVICES))
        for name, each in found.items():
            log = "" if each.state == "running" and ENDED not in each.tail else tail(shell, each)
            if each.state != "running" or log.count(f"{name} {ENDED}") >= CRASHES:
                raise ServiceFailed(f"{name} does not stay up. {STILL_BILLS}\n{log[-3000:]}")
        if time.monotonic() > deadline or reason.startswith(_LACKS):
            log = tail(shell, state(shell, "comfyui"))
            raise ServiceFailed(f"no image can be made: {reason}. {STILL_BILLS}\n{log[-2000:]}")
        news = f"comfyui: {found['comfyui'].tail or 'starting'}; gateway: {reason}"
        if news != told:
            say(news)
            told = news
        time.sleep(POLL)


def _asked(shell: Shell, *, tls: bool) -> tuple[bool, str]:
    """Return whether the gateway says that it is ready, and why it is not."""
    answer = in_workspace(shell, "asking the gateway", gateway.ready_script(tls=tls))
    words, _, status = answer.rstrip().rpartition("\n")
    try:
        return status == "200", "" if status == "200" else str(json.loads(words)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return False, "starting"


def reach(what: str, address: str, port: int, certificate: str) -> None:
    """See that the public port leads to `what` serves with this very certificate.

    Raises:
        ServiceFailed: there is no such port, it does not answer, or someone else does.
    """
    if not port:
        raise ServiceFailed(
            f"the machine opens no public port for the {what}: leave node.adopt out, so that one is rented "
            f"that does. {STILL_BILLS}"
        )
    deadline = time.monotonic() + _OPEN_SECONDS
    while True:
        try:
            shown = ssl.get_server_certificate((address, port), timeout=10)
        except OSError as error:
            if time.monotonic() > deadline:
                raise ServiceFailed(
                    f"the {what} serves, but {address}:{port} does not let us in ({error}): the host's "
                    "ports are blocked. `pulumi up --replace` rents another; or set gateway.expose to "
                    f"tunnel. {STILL_BILLS}"
                ) from None
            time.sleep(POLL)
            continue
        if shown.split() != certificate.split():
            raise ServiceFailed(
                f"{address}:{port} shows another certificate than the one made on the machine: someone "
                f"stands between. {STILL_BILLS}"
            )
        return
