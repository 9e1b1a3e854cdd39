"""The balancer on a machine as seen from here: how HAProxy gets there, its files, and what it is asked. Pure.

It shows the certificate of the gateway beside it, which vouches for the machine's address. A changed
configuration is taken up by a new process, while the one before it ends what it has begun.
"""

from __future__ import annotations

import json
import shlex
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from components.comfyui import gateway
from components.comfyui.service import service
from components.remote.job import WORKSPACE, Job
from components.remote.package import needed

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = ".fragua/front"
"""Where everything of it lies in the workspace."""

PORT: Final = 8001
"""Inside the container; the public one is Vast.ai's to choose."""

BIND: Final = f"0.0.0.0:{PORT} ssl crt certificate.pem"

BOOT: Final = f"{FOLDER}/boot"
"""A script in the workspace that starts it after a reboot."""

BOOT_SCRIPT: Final = f'front="{WORKSPACE}/{BOOT}"; [ ! -e "$front" ] || bash "$front"'
"""Runs that, where there is a balancer; for what starts the gateway after a reboot."""

NAME: Final = "front"

NOT_ASKED: Final = "INI"
REACHED: Final = "L7OK"
"""A replica's state before it was asked whether it is ready, and once it answered that it is."""

INSTALL: Final = Job(
    "front-install",
    # an image may have a file of that name which does not run
    f"""{needed("haproxy -v", "haproxy")}
echo "front: $(haproxy -v | head -n 1)"
""",
)

SERVICE: Final = service(NAME, PORT, f"cd {FOLDER}\nexec haproxy -W -f haproxy.cfg")
"""Its script never changes, so that a repeated start leaves what runs alone."""

END: Final = f'rm -rf "{WORKSPACE}/{FOLDER}"'
"""Removes all but HAProxy itself and the log."""


def version(config: str, certificate: str, certificates: Mapping[str, str]) -> str:
    """Return what identifies all that HAProxy reads: its configuration and the certificates, PEM."""
    parts = (config, certificate, *(word for each in sorted(certificates.items()) for word in each))
    return sha256("\0".join(parts).encode()).hexdigest()[:16]


def files_script(config: str, version: str, certificates: Mapping[str, str]) -> str:
    """Return a script that leaves HAProxy's files, once it accepts them.

    Args:
        config: for the folder in which all of it lies; HAProxy tells the `version` when it has read it.
        version: of all that it reads.
        certificates: of the replicas, PEM, by file.
    """
    told = config.replace("global\n", f"global\n  description {version}\n", 1)
    files = {"haproxy.cfg.new": told, **certificates}
    left = "\n".join(f"printf %s {shlex.quote(text)} > {name}" for name, text in files.items())
    return f"""umask 077
mkdir -p {FOLDER}
cd {FOLDER}
ln -sfn ../gateway/tls/certificate.pem certificate.pem
ln -sfn ../gateway/tls/key.pem certificate.pem.key
mkdir -p certificates
{left}
haproxy -c -f haproxy.cfg.new || {{
  echo "HAProxy refuses its configuration, for which it must be 2.4.4 or newer: $(haproxy -v | head -n 1)"
  exit 1
}}
mv haproxy.cfg.new haproxy.cfg
"""


def reload_script() -> str:
    """Return a script that makes HAProxy read its files anew; nothing that is under way is dropped."""
    return f"kill -USR2 $(cat .fragua/{NAME}.pid)"


def told_script() -> str:
    """Return a script that prints what the running HAProxy says of itself, for `told`."""
    return f"{gateway.PYTHON} - <<'END'\n{_ASK}END"


def told(output: str) -> tuple[str, dict[str, str]]:
    """Return the version that runs, and each replica's state; nothing of either where none runs yet."""
    found = json.loads(output)
    # a star: it is being asked again
    return found["version"], {name: state.lstrip("* ") for name, state in found["replicas"].items()}


_ASK: Final = f"""import csv, json, socket
def ask(command):
    with socket.socket(socket.AF_UNIX) as way:
        way.connect("{FOLDER}/stats.sock")
        way.sendall(command + b"\\n")
        return b"".join(iter(lambda: way.recv(65536), b"")).decode()
try:
    facts = dict(line.partition(": ")[::2] for line in ask(b"show info").splitlines())
    rows = [*csv.DictReader(ask(b"show stat").removeprefix("# ").splitlines())]
except OSError:
    facts, rows = {{}}, []
checked = {{row["svname"]: row["check_status"] for row in rows if row["svname"] == row["pxname"]}}
print(json.dumps({{"version": facts.get("description", ""), "replicas": checked}}))
"""
