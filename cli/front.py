"""One address in front of a stack's gateways: HAProxy on this computer, and Caddy for a domain."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cli.project import outputs
from cli.renew import kept
from components.comfyui.front import Replica, address, caddyfile, haproxy
from components.errors import FraguaError

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAMS: Final = {
    "haproxy": ["haproxy", "-db", "-f", "haproxy.cfg"],
    "caddy": ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
}
_POLL: Final = 0.2
_PATIENCE: Final = 5


def run(root: Path, stack: str, listen: str, port: int, domain: str, *, only_print: bool) -> None:
    """Run what spreads requests over the replicas of `stack`, until Ctrl-C; or print its configuration.

    Raises:
        FraguaError: the stack has no public gateway, a program is missing or ended, or the address is none.
    """
    loopback = _loopback(listen)
    if domain and listen != "127.0.0.1":
        raise FraguaError("--domain: Caddy listens for it, HAProxy on 127.0.0.1: leave --listen out")
    found = outputs(root, stack, "replicas")
    files = configuration(found, listen, port, domain)
    if only_print:
        for name, text in files.items():
            print(f"# {name}\n{text}")
        return
    programs = ["haproxy", *(["caddy"] if domain else [])]
    if missing := [name for name in programs if not shutil.which(name)]:
        raise FraguaError(f"{' and '.join(missing)} not found: apt-get install {' '.join(missing)}")
    folder = root / ".fragua" / "front" / stack
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    print(f"{f'https://{domain}' if domain else f'http://{address(listen, port)}'} (Ctrl-C ends it)")
    print("Start it again whenever `pulumi up` has changed the stack's machines.")
    if not loopback:
        print(f"{listen} is open to others. The gateway serves only who has a token, but this is plain HTTP:")
        print("whoever listens on the way reads tokens. Use --domain outside of networks that you trust.")
    print(end="", flush=True)
    with suppress(KeyboardInterrupt), kept(found["machines"]):
        _serve(folder, programs)


def configuration(found: dict[str, Any], listen: str, port: int, domain: str) -> dict[str, str]:
    """Return the files that HAProxy and Caddy want, by name, for a stack with those outputs.

    Raises:
        FraguaError: a gateway of it is not public.
    """
    replicas = []
    for number, each in enumerate(found["replicas"], 1):
        url = urlsplit(each["url"])
        if not (url.hostname and url.port):
            raise FraguaError("the gateways are reached through tunnels only: set gateway.expose to tls")
        replicas.append(Replica(f"n{number}", url.hostname, url.port, each["certificate"]))
    files = {"haproxy.cfg": haproxy(replicas, address(listen, port), behind_caddy=bool(domain))}
    files |= {each.file: each.certificate for each in replicas}
    return {**files, "Caddyfile": caddyfile(domain, port)} if domain else files


def _loopback(listen: str) -> bool:
    try:
        return ip_address(listen).is_loopback
    except ValueError:
        raise FraguaError(f"--listen {listen}: give an IP address, such as 127.0.0.1") from None


def _serve(folder: Path, programs: list[str]) -> None:
    """Run the programs until one ends, and end the others then."""
    with ExitStack() as ends:
        running = {}
        for name in programs:
            running[name] = subprocess.Popen(_PROGRAMS[name], cwd=folder)
            ends.callback(_end, running[name])
        while True:
            for name, process in running.items():
                if process.poll() is not None:
                    raise FraguaError(f"{name} ended with exit code {process.returncode}: see above")
            time.sleep(_POLL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
