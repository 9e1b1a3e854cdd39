"""`supervisorctl`: the services of Vast's own images, which it only remembers as running or stopped."""

from __future__ import annotations

import json
import time

from hardware.facts import machine, run_file

from programs.console import fail, say

_BASE = ("caddy", "cron", "instance_portal", "jupyter", "syncthing", "tensorboard")
_APPLICATIONS = {"kohya": ("kohya",), "comfy": ("comfyui", "api-wrapper")}


def main(arguments: list[str]) -> int:
    """Run supervisorctl."""
    if not machine().image.startswith("vastai/"):
        fail("bash: supervisorctl: command not found", 127)
    file = run_file("services.json")
    stopped: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    services = sorted(
        [
            *_BASE,
            *(name for mark, names in _APPLICATIONS.items() if mark in machine().image for name in names),
        ]
    )
    command, *names = arguments or ["status"]
    chosen = services if not names or names == ["all"] else names
    code = 0
    for name in chosen:
        if name not in services:
            say(f"{name}: ERROR (no such process)")
            code = 4 if command == "status" else 1
            continue
        if command == "status":
            say(_status(name, stopped))
            code = code or (3 if name in stopped else 0)
        elif command in {"stop", "restart"} and name in stopped and command == "stop":
            say(f"{name}: ERROR (not running)")
            code = 1
        elif command == "stop":
            stopped[name] = time.time()
            say(f"{name}: stopped")
        elif command == "start" and name not in stopped:
            say(f"{name}: ERROR (already started)")
            code = 1
        elif command in {"start", "restart"}:
            if command == "restart" and name not in stopped:
                say(f"{name}: stopped")
            stopped.pop(name, None)
            say(f"{name}: started")
        else:
            fail(f"*** Unknown syntax: {' '.join(arguments)}", 2)
    file.write_text(json.dumps(stopped), encoding="utf-8")
    return code


def _status(name: str, stopped: dict[str, float]) -> str:
    if name in stopped:
        return f"{name:<32} STOPPED   {time.strftime('%b %d %I:%M %p', time.localtime(stopped[name]))}"
    return f"{name:<32} RUNNING   pid {300 + sum(name.encode()) % 400}, uptime 0:05:12"
