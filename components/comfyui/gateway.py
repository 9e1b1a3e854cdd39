"""The gateway as seen from here: how it gets on a machine, its settings and its files. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from components.comfyui.service import service
from components.remote.job import BOOT, Job
from components.remote.package import needed
from components.remote.python import STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.spec.infer import Gateway

FOLDER: Final = ".fragua/gateway"
"""Where everything of it lies in the workspace."""

CODE: Final = f"{FOLDER}/code"
PACKAGES: Final = ("comfy", "gateway")
"""The folders of this project that it is made of."""

PORT: Final = 8000
"""Inside the container; the public one is Vast.ai's to choose."""

COMFYUI_PORT: Final = 18188
"""Where ComfyUI listens, on loopback: what Vast.ai's image has free once its own services are stopped."""

PYTHON: Final = f"{FOLDER}/venv/bin/python"


def install(code_digest: str) -> Job:
    """Return the job that makes the gateway's environment, once its code of that digest is there."""
    script = f"""venv=$(realpath -m {FOLDER}/venv) lock={CODE}/gateway/requirements.lock
{needed("command -v curl", "curl", "ca-certificates")}
{STAGES}do_gateway() {{
  rm -rf $venv
  uv venv --quiet --python '>=3.11,<3.14' $venv
  packages --require-hashes -r $lock
}}
stage $venv gateway "$(sha256sum < $lock | cut -c 1-12)"
PYTHONPATH={CODE} $venv/bin/python -c 'import gateway.app'
echo "gateway: {code_digest} is there"
"""
    return Job("gateway-install", script)


def settings(spec: Gateway, name: str, comfyui: str) -> dict[str, str]:
    """Return the gateway's settings, by the names of its environment, but for price and secrets.

    Args:
        spec: the job's.
        name: of the replica; its jobs' ids begin with it, so that a balancer finds their way back.
        comfyui: its folder, relative to the workspace or absolute.
    """
    tls = spec.expose == "tls"
    return {
        "COMFYUI_URL": f"http://127.0.0.1:{COMFYUI_PORT}",
        "COMFYUI_PID_FILE": "../comfyui.pid",
        "COMFYUI_FOLDER": comfyui if comfyui.startswith("/") else f"../../{comfyui}",
        "API_HOST": "0.0.0.0" if tls else "127.0.0.1",  # noqa: S104 - it asks for a token
        "API_PORT": str(PORT),
        "GATEWAY_NAME": name,
        "GATEWAY_DATA": "data",
        "GATEWAY_TOKENS": "tokens",
        "GATEWAY_CATALOGUE": "catalogue.json",
        **({"GATEWAY_TLS_CERT": "tls/certificate.pem", "GATEWAY_TLS_KEY": "tls/key.pem"} if tls else {}),
        "GATEWAY_QUEUE": str(spec.queue),
        "GATEWAY_RATE": str(spec.rate),
        "GATEWAY_TIMEOUT": f"{spec.timeout:g}",
        "GATEWAY_KEEP_HOURS": f"{spec.keep / 3600:g}",
        "GATEWAY_KEEP_GB": f"{spec.keep_size:g}",
        "GATEWAY_BODY_MB": f"{spec.body:g}",
    }


def certificate_script(address: str) -> str:
    """Return a script that prints the certificate for `address`, and makes it and its key if need be."""
    return f"""cd {FOLDER} && PYTHONPATH=code exec venv/bin/python -m gateway certificate \\
  --folder tls --address {shlex.quote(address)}"""


def files_script(files: Mapping[str, str]) -> str:
    """Return a script that leaves the gateway's files, for root alone to read. It may hold secrets."""
    script = f"umask 077\nmkdir -p {FOLDER}/data\ncd {FOLDER}\n"
    for name, text in files.items():
        script += f"printf %s {shlex.quote(text)} > {name}.new\nmv {name}.new {name}\n"
    return script


def boot_script(scripts: Sequence[str], file: str = BOOT) -> str:
    """Return a script that leaves `scripts` on the machine, to be run each time that its container starts."""
    lines = "".join(f"bash -c {shlex.quote(script)}\n" for script in scripts)
    return f"printf %s {shlex.quote(lines)} > {file}.new\nmv {file}.new {file}\n"


def gateway(digest: str) -> Job:
    """Return the service; it starts again where `digest`, of its code and settings, is another."""
    return service(
        "gateway",
        PORT,
        f"""# {digest}
cd {FOLDER}
PYTHONPATH=code exec venv/bin/python -m gateway""",
    )


def ready_script(*, tls: bool) -> str:
    """Return a script that prints what the gateway says of being ready: JSON, and below it the status."""
    return f"{PYTHON} - <<'END'\n{_ASK}ask('http{'s' if tls else ''}://127.0.0.1:{PORT}/ready')\nEND"


_ASK: Final = """import ssl, urllib.error, urllib.request
def ask(url):
    try:
        reply = urllib.request.urlopen(url, timeout=20, context=ssl._create_unverified_context())
    except urllib.error.HTTPError as error:
        reply = error
    except OSError as error:
        return print(f"{error}\\n0")
    print(f"{reply.read().decode()}\\n{reply.status}")
"""
