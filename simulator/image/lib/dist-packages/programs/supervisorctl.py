"""`supervisorctl`: the services of Vast's own images.

ComfyUI is a real process, which has its port as long as it is said to run. The others are only remembered as
running or stopped.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

from hardware import clock
from hardware.facts import machine, run_file

from programs.console import fail, say

_BASE = ("caddy", "cron", "instance_portal", "jupyter", "syncthing", "tensorboard")
_APPLICATIONS = {"kohya": ("kohya",), "comfy": ("comfyui", "api-wrapper")}
_PROVISIONING = 40.0
_STOP_SECONDS = 10


def main(arguments: list[str]) -> int:
    """Run supervisorctl."""
    if not machine().image.startswith("vastai/"):
        fail("bash: supervisorctl: command not found", 127)
    services = _services()
    command, *names = arguments or ["status"]
    code = 0
    for name in services if not names or names == ["all"] else names:
        if name not in services:
            say(f"{name}: ERROR (no such process)")
            code = 4 if command == "status" else 1
            continue
        running = _pid(name) is not None
        if command == "status":
            say(_status(name))
            code = code or (0 if running else 3)
        elif (command == "stop" and not running) or (command == "start" and running):
            say(f"{name}: ERROR ({'not running' if command == 'stop' else 'already started'})")
            code = 1
        elif command in {"stop", "start", "restart"}:
            if command != "start" and running:
                _stop(name)
                say(f"{name}: stopped")
            if command != "stop":
                _start(name)
                say(f"{name}: started")
        else:
            fail(f"*** Unknown syntax: {' '.join(arguments)}", 2)
    return code


def boot(mark: str) -> None:
    """Provision, take the mark of that away, and start what is a real process."""
    _remember({})
    clock.sleep(_PROVISIONING)
    Path(mark).unlink(missing_ok=True)
    if "comfyui" in _services() and "comfyui" not in _stopped():
        _start("comfyui")


def _services() -> list[str]:
    found = [name for mark, names in _APPLICATIONS.items() if mark in machine().image for name in names]
    return sorted([*_BASE, *found])


def _stopped() -> dict[str, float]:
    """Return when each of the stopped ones was stopped."""
    file = run_file("services.json")
    stopped: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return stopped


def _remember(stopped: dict[str, float]) -> None:
    run_file("services.json").write_text(json.dumps(stopped), encoding="utf-8")


def _pid(name: str) -> int | None:
    """Return the process of a service that runs."""
    if name != "comfyui":
        return None if name in _stopped() else 300 + sum(name.encode()) % 400
    with contextlib.suppress(OSError, ValueError):
        pid = int(run_file("comfyui.pid").read_text())
        if b"ComfyUI/main.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def _start(name: str) -> None:
    _remember({other: since for other, since in _stopped().items() if other != name})
    if name != "comfyui":
        return
    workspace = Path(os.environ.get("WORKSPACE", "/workspace"))
    logs = workspace.parent / "var/log/portal"
    logs.mkdir(parents=True, exist_ok=True)
    command = [workspace.parent / "venv/main/bin/python", workspace / "ComfyUI/main.py"]
    with (logs / "comfyui.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--disable-auto-launch", "--enable-cors-header", "--port", "18188"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    run_file("comfyui.pid").write_text(f"{process.pid}")


def _stop(name: str) -> None:
    _remember({**_stopped(), name: time.time()})
    pid = _pid(name) if name == "comfyui" else None
    if pid is None:
        return
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    # readable once it has ended, its sockets closed; /proc forgets its command line before that
    signal.pidfd_send_signal(process, signal.SIGTERM)
    if not select.select([process], [], [], _STOP_SECONDS)[0]:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [])
    os.close(process)


def _status(name: str) -> str:
    pid = _pid(name)
    if pid is not None:
        return f"{name:<32} RUNNING   pid {pid}, uptime 0:05:12"
    if name in _stopped():
        return f"{name:<32} STOPPED   {time.strftime('%b %d %I:%M %p', time.localtime(_stopped()[name]))}"
    return f"{name:<32} {'EXITED    unexpectedly' if run_file(f'{name}.pid').is_file() else 'STARTING'}"
